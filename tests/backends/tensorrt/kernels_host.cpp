// The kernels' arithmetic as a shared library for the tests: the loops of the launch, around the very lines that it runs.

#include "kernels.h"

using namespace edge;

extern "C" void draw_crops(const unsigned char *pixels, int width, int height, const Crop *crops, int count,
                           unsigned char *canvases, int columns, int rows) {
    const Image image = {pixels, width, height};
    for (int n = 0; n < count; ++n) {
        const Crop crop = crops[n];
        const Way way = way_of(crop);
        for (int row = 0; row < rows; ++row) {
            const Span down = span_of(way, row, crop.height, crop.rows, false);
            for (int column = 0; column < columns; ++column) {
                const Span across = span_of(way, column, crop.width, crop.columns, true);
                const bool inside = column < crop.columns && row < crop.rows;
                canvases[((size_t)n * rows + row) * columns + column] =
                    inside ? drawn(image, crop, way, across, down) : PADDING_GREY;
            }
        }
    }
}
