// The kernels' arithmetic as a shared library for the tests: the loops of the launch, around the very lines that it runs.

#include "found.h"
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

// One view: what the five launches behind the network do, in their order, with the lines that they run. Returns 1 when the masks
// do not fit.
extern "C" int find_masks(const float *scores, const float *boxes, const float *coefficients, int count, const float *prototypes,
                          int rows, int columns, const View *view, float confidence, float iou, Found *found, Kept *kept,
                          float *logits, unsigned *bits, int most_words, int most_cells) {
    static int order[MOST_CANDIDATES];
    static bool suppressed[MOST_CANDIDATES];
    *found = Found{0, 0, 0, 0, 0, {0, 0, 0}};
    for (int i = 0; i < count; ++i) {
        found->broken |= !is_number(scores[i]);
        if (!(scores[i] > confidence)) continue;
        for (int side = 0; side < 4; ++side) found->broken |= !is_number(boxes[4 * i + side]);
        int rank = 0;
        for (int other = 0; other < count; ++other) rank += scores[other] > confidence && comes_before(scores, other, i);
        order[rank] = i;
        ++found->candidates;
    }
    if (found->broken) found->candidates = 0;
    for (int row = 0; row < found->candidates; ++row) suppressed[row] = false;
    for (int row = 0; row < found->candidates; ++row) {
        if (suppressed[row]) continue;
        Kept one = placed(order[row], boxes + 4 * order[row], *view, rows, columns);
        one.first_word = found->words;
        one.first_cell = found->cells;
        found->words = added(found->words, words_of(one));
        found->cells += cells_of(one);
        kept[found->kept++] = one;
        for (int later = row + 1; later < found->candidates; ++later)
            suppressed[later] |= !(overlap(boxes + 4 * order[later], boxes + 4 * order[row]) <= iou);
    }
    if (found->words > most_words || found->cells > most_cells) return 1;
    for (int at = 0; at < found->cells; ++at) {
        const Kept one = kept[entry_of(kept, found->kept, at, true)];
        const int width = one.right - one.left, cell = at - one.first_cell;
        logits[at] = logit(coefficients + (size_t)one.candidate * CHANNELS, prototypes, rows, columns, one.top + cell / width,
                           one.left + cell % width);
        found->broken |= !is_number(logits[at]);
    }
    for (int at = 0; at < found->words; ++at) {
        const Kept one = kept[entry_of(kept, found->kept, at, false)];
        const int word = at - one.first_word, across = words_a_row(one);
        bits[at] = 0;
        for (int lane = 0; lane < WORD; ++lane) {
            const int x = word % across * WORD + lane;
            if (x < one.x1 - one.x0 && inside(one, *view, logits + one.first_cell, x, word / across)) bits[at] |= 1u << lane;
        }
    }
    return 0;
}
