// The same hash over words that never leave the registers: what no kernel that reads can beat.
//
// Included by a hash's own .cu, which defines hash_in_registers(seed, blocks).
#pragma once
#include "words.cuh"

extern "C" __global__ void __launch_bounds__(128)
hash_nothing(u32 threads, u32 blocks, u32* result) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread < threads) result[thread] = hash_in_registers(thread, blocks);
}
