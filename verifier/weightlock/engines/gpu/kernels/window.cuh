// A view of memory that starts at any byte and yields one block of a hash's message at a time.
//
// Memory is read in aligned granules, 16 bytes wide where the block is a multiple of 16, one block
// ahead of its use. A message is a prefix followed by data, so even aligned data is shifted by the
// prefix: the shift by whole words and then by bytes costs one byte permutation for each word,
// which big-endian hashes need anyway. Nothing at or after `end` is read but the rest of a granule
// that `end` cuts, and what it holds is masked by the caller.
#pragma once
#include "words.cuh"

enum ByteOrder { LITTLE_ENDIAN_WORDS, BIG_ENDIAN_WORDS };

template <int GRANULE_WORDS> struct Granule;
template <> struct Granule<4> {
    static __device__ __forceinline__ void load(const u8* at, u32* words) {
        const uint4 loaded = *reinterpret_cast<const uint4*>(at);
        words[0] = loaded.x; words[1] = loaded.y; words[2] = loaded.z; words[3] = loaded.w;
    }
};
template <> struct Granule<2> {
    static __device__ __forceinline__ void load(const u8* at, u32* words) {
        const uint2 loaded = *reinterpret_cast<const uint2*>(at);
        words[0] = loaded.x; words[1] = loaded.y;
    }
};

template <int GRANULE_WORDS, int BLOCK_WORDS, ByteOrder ORDER> struct Window {
    static constexpr int GRANULE_BYTES = 4 * GRANULE_WORDS;
    u32 held[GRANULE_WORDS + BLOCK_WORDS];
    u32 ahead[BLOCK_WORDS];
    const u8* next;
    const u8* end;
    u32 skipped_words; // of the first granule, before the message's first byte
    u32 selector;      // of the byte permutation

    // The message's first byte lies `prefix_bytes` before `data`.
    __device__ __forceinline__ Window(u32 prefix_bytes, const u8* data, u32 length) {
        const u64 first = reinterpret_cast<u64>(data) - prefix_bytes;
        const u32 offset = static_cast<u32>(first & (GRANULE_BYTES - 1));
        next = reinterpret_cast<const u8*>(first - offset);
        end = data + length;
        skipped_words = offset >> 2;
        selector = (ORDER == BIG_ENDIAN_WORDS ? 0x0123u : 0x3210u) + 0x1111u * (offset & 3);
        // A granule that ends before the data starts holds nothing of it and may not exist.
        load(held + BLOCK_WORDS, next + GRANULE_BYTES > data);
#pragma unroll
        for (int i = 0; i < BLOCK_WORDS; i += GRANULE_WORDS)
            load(ahead + i, next + GRANULE_BYTES > data);
    }

    __device__ __forceinline__ void load(u32* words, bool begun) {
        if (begun && next < end) {
            Granule<GRANULE_WORDS>::load(next, words);
        } else {
#pragma unroll
            for (int i = 0; i < GRANULE_WORDS; ++i) words[i] = 0;
        }
        next += GRANULE_BYTES;
    }

    // The next block, its words in the hash's byte order.
    __device__ __forceinline__ void take(u32 (&words)[BLOCK_WORDS]) {
#pragma unroll
        for (int i = 0; i < GRANULE_WORDS; ++i) held[i] = held[BLOCK_WORDS + i];
#pragma unroll
        for (int i = 0; i < BLOCK_WORDS; ++i) held[GRANULE_WORDS + i] = ahead[i];
#pragma unroll
        for (int i = 0; i < BLOCK_WORDS; i += GRANULE_WORDS) load(ahead + i, true);
        if (skipped_words == GRANULE_WORDS - 1) { // aligned data
#pragma unroll
            for (int i = 0; i < BLOCK_WORDS; ++i)
                words[i] = __byte_perm(held[GRANULE_WORDS - 1 + i], held[GRANULE_WORDS + i],
                                       selector);
            return;
        }
        u32 shifted[GRANULE_WORDS + BLOCK_WORDS];
#pragma unroll
        for (int i = 0; i < GRANULE_WORDS + BLOCK_WORDS; ++i) shifted[i] = held[i];
        if (GRANULE_WORDS > 2 && (skipped_words & 2)) {
#pragma unroll
            for (int i = 0; i < GRANULE_WORDS + BLOCK_WORDS - 2; ++i) shifted[i] = shifted[i + 2];
        }
        if (skipped_words & 1) {
#pragma unroll
            for (int i = 0; i < GRANULE_WORDS + BLOCK_WORDS - 1; ++i) shifted[i] = shifted[i + 1];
        }
#pragma unroll
        for (int i = 0; i < BLOCK_WORDS; ++i)
            words[i] = __byte_perm(shifted[i], shifted[i + 1], selector);
    }
};

// How many bytes of a message of `length` bytes lie in or after the word at `offset`: may be < 0.
DEVICE int bytes_left(u32 length, u32 offset) { return (int)length - (int)offset; }
