// Words of fixed width without any header, so that NVRTC, hipRTC, nvcc and a host compiler agree.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE static __device__ __forceinline__

// Compilers turn these into one funnel shift (two for 64 bits).
DEVICE u32 rotated_right(u32 word, int bits) { return (word >> bits) | (word << (32 - bits)); }
DEVICE u64 rotated_right(u64 word, int bits) { return (word >> bits) | (word << (64 - bits)); }
DEVICE u64 joined(u32 low, u32 high) { return (u64)high << 32 | low; }
