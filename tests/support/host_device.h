// Lets a host compiler build a kernel's source: one thread for each block, blocks one after another.
#pragma once
#include <cstdint>
#define __device__
#define __global__
#define __forceinline__ inline
#define __constant__ static const
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
struct Index { unsigned int x; };
static Index blockIdx, threadIdx = {0}, blockDim = {1};
struct uint4 { unsigned int x, y, z, w; };
struct uint2 { unsigned int x, y; };
static inline void __syncthreads() {}
static inline unsigned int __byte_perm(unsigned int low, unsigned int high, unsigned int selector) {
    const unsigned long long bytes = (unsigned long long)high << 32 | low;
    unsigned int result = 0;
    for (int i = 0; i < 4; ++i)
        result |= (unsigned int)(bytes >> (8 * (selector >> (4 * i) & 7)) & 0xff) << (8 * i);
    return result;
}
