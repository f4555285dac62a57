// Rectangles of a grey image in, the network's canvases out: the arithmetic, one function for device and host alike.
//
// It follows OpenCV's resize of uint8, so that a GPU sees what a CPU sees: INTER_AREA when a side shrinks, else
// INTER_LINEAR. Built without fused multiply-add (nvcc -fmad=false, gcc -ffp-contract=off) the results equal those of
// OpenCV's plain C++ code; its vector code may sum in another order, so a test allows a difference of 1 grey level.

#pragma once

#include <math.h>
#include <stddef.h>

#ifdef __CUDACC__
#define BOTH __host__ __device__ inline
#else
#define BOTH inline
#endif

namespace edge {

const unsigned char PADDING_GREY = 114;
const int COEFFICIENT_SCALE = 2048;  // OpenCV keeps bilinear weights in 11 bits.

// A rectangle of the image (it may reach beyond it: the edge is repeated) and its size on the canvas, at the top left.
struct Crop {
    int x, y, width, height;
    int columns, rows;
};

struct Image {
    const unsigned char *pixels;
    int width, height;
};

enum Way {
    COPY,
    MEAN,  // both sides shrink by whole numbers: sums of integers
    AREA,  // both sides shrink: every source pixel counts by the part of it that is covered
    AREA_BILINEAR,  // one side shrinks, the other grows: INTER_AREA interpolates then, with weights of its own
    BILINEAR,  // no side shrinks
};

// Along one axis: the source pixels of one target pixel, `count` from `first` on, and their weights.
struct Span {
    int first, count;
    float head, body, tail;
};

BOTH int clamp(int value, int low, int high) { return value < low ? low : (value > high ? high : value); }

// Source pixels per target pixel. OpenCV inverts the inverse; the last bit decides which pixels are covered.
BOTH double scale_of(int source, int target) { return 1.0 / ((double)target / source); }

BOTH bool is_whole(double scale) { return fabs(scale - rint(scale)) < 2.220446049250313e-16; }

BOTH Way way_of(const Crop &crop) {
    if (crop.width == crop.columns && crop.height == crop.rows) return COPY;
    if (crop.width <= crop.columns && crop.height <= crop.rows) return BILINEAR;
    if (crop.width < crop.columns || crop.height < crop.rows) return AREA_BILINEAR;
    return is_whole(scale_of(crop.width, crop.columns)) && is_whole(scale_of(crop.height, crop.rows)) ? MEAN : AREA;
}

BOTH Span covered(int at, int source, int target) {
    double scale = scale_of(source, target);
    double begin = at * scale, end = begin + scale;
    double width = fmin(scale, source - begin);
    int last = (int)floor(end), first = (int)ceil(begin);
    last = last < source - 1 ? last : source - 1;
    first = first < last ? first : last;
    Span span;
    span.body = (float)(1.0 / width);
    span.head = span.tail = span.body;
    span.first = first;
    span.count = last - first;
    // A thousandth of a pixel is not worth a read.
    if (first - begin > 1e-3) {
        span.first -= 1;
        span.count += 1;
        span.head = (float)((first - begin) / width);
    }
    if (end - last > 1e-3) {
        span.count += 1;
        span.tail = (float)(fmin(fmin(end - last, 1.0), width) / width);
    }
    return span;
}

// Two neighbours with weights in 1 / COEFFICIENT_SCALE. Left and right of the image the nearest pixel counts alone;
// above and below it stands for both, as in OpenCV, where the two ways round differently.
BOTH Span neighbours(int at, int source, int target, bool area, bool horizontal) {
    double scale = scale_of(source, target);
    float fraction;
    int first;
    if (area) {
        first = (int)floor(at * scale);
        fraction = (float)((at + 1) - (first + 1) * ((double)target / source));
        fraction = fraction <= 0 ? 0.0f : fraction - floorf(fraction);
    } else {
        fraction = (float)((at + 0.5) * scale - 0.5);
        first = (int)floorf(fraction);
        fraction -= first;
    }
    if (horizontal && (first < 0 || first >= source - 1)) {
        first = first < 0 ? 0 : source - 1;
        fraction = 0.0f;
    }
    Span span;
    span.first = first;
    span.count = 2;
    span.head = rintf((1.0f - fraction) * COEFFICIENT_SCALE);
    span.tail = rintf(fraction * COEFFICIENT_SCALE);
    span.body = 0.0f;
    return span;
}

BOTH Span span_of(Way way, int at, int source, int target, bool horizontal) {
    if (way == AREA) return covered(at, source, target);
    if (way == BILINEAR || way == AREA_BILINEAR) return neighbours(at, source, target, way == AREA_BILINEAR, horizontal);
    Span span;
    span.count = way == MEAN ? source / target : 1;
    span.first = at * span.count;
    span.head = span.body = span.tail = 1.0f;
    return span;
}

BOTH float weight(const Span &span, int index) {
    if (index == 0) return span.head;
    return index == span.count - 1 ? span.tail : span.body;
}

BOTH const unsigned char *row_of(const Image &image, const Crop &crop, int y) {
    return image.pixels + (size_t)clamp(crop.y + y, 0, image.height - 1) * image.width;
}

BOTH int read(const Image &image, const unsigned char *row, const Crop &crop, int x) {
    return row[clamp(crop.x + x, 0, image.width - 1)];
}

BOTH unsigned char rounded(float value) { return (unsigned char)clamp((int)rintf(value), 0, 255); }

BOTH unsigned char summed(const Image &image, const Crop &crop, const Span &across, const Span &down) {
    int sum = 0;
    for (int j = 0; j < down.count; ++j) {
        const unsigned char *row = row_of(image, crop, down.first + j);
        for (int i = 0; i < across.count; ++i) sum += read(image, row, crop, across.first + i);
    }
    if (across.count == 2 && down.count == 2) return (unsigned char)((sum + 2) >> 2);
    return rounded(sum * (1.0f / (across.count * down.count)));
}

BOTH unsigned char weighed(const Image &image, const Crop &crop, const Span &across, const Span &down) {
    float sum = 0.0f;
    for (int j = 0; j < down.count; ++j) {
        const unsigned char *row = row_of(image, crop, down.first + j);
        float line = 0.0f;
        for (int i = 0; i < across.count; ++i) line += read(image, row, crop, across.first + i) * weight(across, i);
        sum += weight(down, j) * line;
    }
    return rounded(sum);
}

BOTH int along(const Image &image, const Crop &crop, const Span &across, int y) {
    const unsigned char *row = row_of(image, crop, clamp(y, 0, crop.height - 1));
    int left = read(image, row, crop, across.first);
    int right = read(image, row, crop, clamp(across.first + 1, 0, crop.width - 1));
    return left * (int)across.head + right * (int)across.tail;
}

BOTH unsigned char interpolated(const Image &image, const Crop &crop, const Span &across, const Span &down) {
    int above = (int)down.head * (along(image, crop, across, down.first) >> 4);
    int below = (int)down.tail * (along(image, crop, across, down.first + 1) >> 4);
    return (unsigned char)(((above >> 16) + (below >> 16) + 2) >> 2);
}

// The canvas's pixel whose spans these are.
BOTH unsigned char drawn(const Image &image, const Crop &crop, Way way, const Span &across, const Span &down) {
    if (way == COPY) return (unsigned char)read(image, row_of(image, crop, down.first), crop, across.first);
    if (way == MEAN) return summed(image, crop, across, down);
    if (way == AREA) return weighed(image, crop, across, down);
    return interpolated(image, crop, across, down);
}

}  // namespace edge
