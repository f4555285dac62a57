// A segmenter's candidates and prototypes in, what is kept and its masks out: the arithmetic, for device and host alike.
//
// It follows what the host does with the same outputs: suppression as OpenCV's NMSBoxes, masks as a product of 32 terms for
// the prototypes under a box, enlarged as OpenCV's warpAffine enlarges (positions in 1/32 of a prototype's pixel). Built
// without fused multiply-add, device and host give the same bits.

#pragma once

#include <math.h>
#include <stddef.h>

#include "kernels.h"

namespace edge {

const int MOST_CANDIDATES = 1024;
const int WORD = 32;  // bits
const int CHANNELS = 32;
const int PROTOTYPE_STRIDE = 4;

// What the network saw of the image: its size there in pixels, and network pixels per pixel of the image.
struct View {
    double scale_x, scale_y;
    int width, height;
};

// One candidate that is kept. candidate: its row.  x0 … y1: pixels of the view inside its box.  left … bottom: the
// prototypes' pixels that speak for them.  first_word: of its mask; a row of bits is a whole number of words.  first_cell: of
// its logits. Boxes without a pixel have neither.
struct Kept {
    int candidate;
    int x0, y0, x1, y1;
    int left, top, right, bottom;
    int first_word, first_cell;
    int padding;
};

// What one view came to. kept: entries, in the order of their scores.  words, cells: wanted; more than there is room for
// means that masks are missing.  broken: 1 a score, box or logit that is used is not a number.
struct Found {
    int candidates, kept, words, cells, broken, padding[3];
};

BOTH bool is_number(float value) { return value - value == 0.0f; }

BOTH int least(int a, int b) { return a < b ? a : b; }
BOTH int most(int a, int b) { return a > b ? a : b; }

// Whether candidate i comes before j: by score, then by row, as a stable sort has them.
BOTH bool comes_before(const float *scores, int i, int j) {
    return scores[i] > scores[j] || (scores[i] == scores[j] && i < j);
}

// Intersection over union of two boxes xyxy, in the steps and types of OpenCV's rectOverlap on Rect2d.
BOTH float overlap(const float *a, const float *b) {
    double a_width = a[2] - a[0], a_height = a[3] - a[1], b_width = b[2] - b[0], b_height = b[3] - b[1];
    double area_a = a_width * a_height, area_b = b_width * b_height;
    if (area_a + area_b <= 2.220446049250313e-16) return 1.0f;
    double common = 0.0;
    if (a_width > 0 && a_height > 0 && b_width > 0 && b_height > 0) {
        bool a_left = a[0] < b[0], a_upper = a[1] < b[1];
        double x = a_left ? a[0] : b[0], right_x = a_left ? b[0] : a[0];
        double y = a_upper ? a[1] : b[1], lower_y = a_upper ? b[1] : a[1];
        double width = fmin((a_left ? a_width : b_width) - (right_x - x), a_left ? b_width : a_width);
        double height = fmin((a_upper ? a_height : b_height) - (lower_y - y), a_upper ? b_height : a_height);
        if (width > 0 && height > 0) common = width * height;
    }
    return 1.0f - (float)(1.0 - common / (area_a + area_b - common));
}

// Sums of words stop far above any room: a thousand large boxes of a large image would be more than an int holds.
const int MANY = 1 << 29;
BOTH int added(int a, int b) { return least(a + b, MANY); }

BOTH int words_a_row(const Kept &one) { return (most(one.x1 - one.x0, 0) + WORD - 1) / WORD; }
BOTH int words_of(const Kept &one) {
    return (int)fmin((double)words_a_row(one) * most(one.y1 - one.y0, 0), (double)MANY);
}
BOTH int cells_of(const Kept &one) {
    return words_of(one) ? most(one.right - one.left, 0) * most(one.bottom - one.top, 0) : 0;
}

// Where a box lies: a pixel lies in it when its centre does. rows, columns: of the prototypes.
BOTH Kept placed(int candidate, const float *box, const View &view, int rows, int columns) {
    double across = view.scale_x / PROTOTYPE_STRIDE, down = view.scale_y / PROTOTYPE_STRIDE;
    Kept one;
    one.candidate = candidate;
    // A box may reach far beyond: what is compared is a double, so that no whole number overflows.
    one.x0 = (int)fmin(fmax(ceil(box[0] / view.scale_x - 0.5), 0.0), (double)view.width);
    one.y0 = (int)fmin(fmax(ceil(box[1] / view.scale_y - 0.5), 0.0), (double)view.height);
    one.x1 = (int)fmin(fmax(ceil(box[2] / view.scale_x - 0.5), 0.0), (double)view.width);
    one.y1 = (int)fmin(fmax(ceil(box[3] / view.scale_y - 0.5), 0.0), (double)view.height);
    one.left = most((int)(one.x0 * across) - 1, 0);
    one.top = most((int)(one.y0 * down) - 1, 0);
    one.right = least((int)(one.x1 * across) + 2, columns);
    one.bottom = least((int)(one.y1 * down) + 2, rows);
    one.first_word = one.first_cell = one.padding = 0;
    return one;
}

// The mask's logit at one pixel of the prototypes [32, rows, columns].
BOTH float logit(const float *coefficients, const float *prototypes, int rows, int columns, int row, int column) {
    const float *at = prototypes + (size_t)row * columns + column;
    float sum = 0.0f;
    for (int k = 0; k < CHANNELS; ++k) sum += coefficients[k] * at[(size_t)k * rows * columns];
    return sum;
}

// Whether the pixel x, y of a box belongs to its mask. logits: its cells, [bottom - top, right - left].
BOTH bool inside(const Kept &one, const View &view, const float *logits, int x, int y) {
    double across = view.scale_x / PROTOTYPE_STRIDE, down = view.scale_y / PROTOTYPE_STRIDE;
    double begin_x = (one.x0 + 0.5) * across - 0.5 - one.left, begin_y = (one.y0 + 0.5) * down - 0.5 - one.top;
    // OpenCV: ten bits of fraction, of which the upper five count. Along a row the steps are rounded, down it the sum is.
    int fine_x = ((int)rint(begin_x * 1024) + 16 + (int)rint(across * x * 1024)) >> 5;
    int fine_y = ((int)rint((down * y + begin_y) * 1024) + 16) >> 5;
    int width = one.right - one.left, height = one.bottom - one.top;
    int column = fine_x >> 5, row = fine_y >> 5;
    float part_x = (fine_x & 31) * (1.0f / 32), part_y = (fine_y & 31) * (1.0f / 32);
    int near_x = clamp(column, 0, width - 1), far_x = clamp(column + 1, 0, width - 1);
    const float *upper = logits + (size_t)clamp(row, 0, height - 1) * width;
    const float *lower = logits + (size_t)clamp(row + 1, 0, height - 1) * width;
    float sum = upper[near_x] * ((1.0f - part_y) * (1.0f - part_x));
    sum += upper[far_x] * ((1.0f - part_y) * part_x);
    sum += lower[near_x] * (part_y * (1.0f - part_x));
    sum += lower[far_x] * (part_y * part_x);
    return sum > 0.0f;
}

// The entry that a word, or with `cells` a logit, belongs to: the last one that begins at or before it and has any.
BOTH int entry_of(const Kept *kept, int count, int at, bool cells) {
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if ((cells ? kept[middle].first_cell : kept[middle].first_word) <= at) low = middle;
        else high = middle - 1;
    }
    return low;
}

}  // namespace edge
