// SHA3-256, -384 and -512 (FIPS 202) leaves and nodes; DIGEST_BYTES, given by the launcher, chooses.
// Reference: hashlib, through weightlock.formats.tree.
#include "words.cuh"
#include "window.cuh"
#include "keccak.cuh"

#define RATE_BYTES (200 - 2 * DIGEST_BYTES)
#ifndef RESIDENT_BLOCKS
#define RESIDENT_BLOCKS 2
#endif
#define SHA3_SUFFIX 0x06

DEVICE void hash_prefixed(u32 prefix, const u8* data, u32 length, u8* digest) {
    const u32 message_bytes = length + 1;
    const u32 blocks = message_bytes / RATE_BYTES + 1;
    Window<2, RATE_BYTES / 4, LITTLE_ENDIAN_WORDS> window(1, data, length);
    u64 a[25] = {};
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        u32 words[RATE_BYTES / 4];
        window.take(words);
        if (block == 0) words[0] = (words[0] & 0xffffff00u) | prefix;
        if (block == blocks - 1) pad(words, SHA3_SUFFIX, message_bytes, block * RATE_BYTES);
        absorb(a, words);
        permute(a);
    }
#pragma unroll
    for (int i = 0; i < DIGEST_BYTES / 8; ++i) reinterpret_cast<u64*>(digest)[i] = a[i];
}

#include "tree.cuh"
#ifdef WEIGHTLOCK_BENCH
DEVICE u32 hash_in_registers(u32 seed, u32 blocks) {
    u64 a[25] = {};
    u32 words[RATE_BYTES / 4];
#pragma unroll
    for (int i = 0; i < RATE_BYTES / 4; ++i) words[i] = seed + i;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        absorb(a, words);
        permute(a);
    }
    return (u32)(a[0] ^ a[24]);
}
#include "ceiling.cuh"
#endif
