// The kernels' arithmetic as a shared library for the tests: the loops of the launch, around the very lines that it runs.

#include "kernels.h"

using namespace edge;

extern "C" void draw_looks(const unsigned char *pixels, int width, int height, const Look *looks, int count,
                           unsigned char *canvases, int columns, int rows) {
    const Image image = {pixels, width, height};
    for (int n = 0; n < count; ++n) {
        const Look look = looks[n];
        const Way way = way_of(look);
        for (int row = 0; row < rows; ++row) {
            const Span down = span_of(way, row, look.height, look.rows, false);
            for (int column = 0; column < columns; ++column) {
                const Span across = span_of(way, column, look.width, look.columns, true);
                const bool inside = column < look.columns && row < look.rows;
                canvases[((size_t)n * rows + row) * columns + column] =
                    inside ? drawn(image, look, way, across, down) : PADDING_GREY;
            }
        }
    }
}
