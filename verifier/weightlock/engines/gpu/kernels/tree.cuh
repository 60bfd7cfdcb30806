// The tree `rfc6962-v1` below a segment's root, over any hash: leaves, then groups of nodes.
//
// Included at the end of a hash's own .cu, which defines DIGEST_BYTES and
//   hash_prefixed(prefix, data, length, digest): H(prefix || data), length > 0.
#pragma once
#include "words.cuh"
#include "leaves.cuh"

// Nodes that one block folds into one. Mirrored by `GROUP` in table.py.
struct Group {
    u32 first;
    u32 nodes; // 1..FOLD_NODES
};

static constexpr u32 FOLD_NODES = 64; // six levels; mirrored by FOLD_NODES in table.py

extern "C" __global__ void __launch_bounds__(128, RESIDENT_BLOCKS)
hash_leaves(const Piece* pieces, u32 piece_count, const u32* tails, u32 full_leaves,
            u32 all_leaves, u32 leaf_bytes, u8* nodes) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= all_leaves) return;
    const Leaf leaf =
        leaf_of_thread(thread, pieces, piece_count, tails, full_leaves, leaf_bytes);
    const u64 node = pieces[leaf.piece].first_node + leaf.number;
    hash_prefixed(0x00, leaf.data, leaf.bytes, nodes + node * DIGEST_BYTES);
}

DEVICE void copy_digest(const u8* from, u8* to) {
#pragma unroll
    for (int i = 0; i < DIGEST_BYTES; i += 16)
        *reinterpret_cast<uint4*>(to + i) = *reinterpret_cast<const uint4*>(from + i);
}

// One block for each group: level by level, an odd last node moves up unchanged.
extern "C" __global__ void __launch_bounds__(32)
fold_groups(const Group* groups, const u8* nodes, u8* folded) {
    __shared__ __align__(16) u8 levels[2][FOLD_NODES * DIGEST_BYTES];
    const Group group = groups[blockIdx.x];
    for (u32 i = threadIdx.x; i < group.nodes; i += blockDim.x)
        copy_digest(nodes + (u64)(group.first + i) * DIGEST_BYTES, levels[0] + i * DIGEST_BYTES);
    __syncthreads();
    u32 side = 0;
    for (u32 count = group.nodes; count > 1; count = (count + 1) / 2) {
        const u8* below = levels[side];
        u8* above = levels[side ^ 1];
        const u32 pairs = count / 2;
        for (u32 i = threadIdx.x; i < pairs; i += blockDim.x)
            hash_prefixed(0x01, below + 2 * i * DIGEST_BYTES, 2 * DIGEST_BYTES,
                          above + i * DIGEST_BYTES);
        if (count % 2 == 1 && threadIdx.x == 0)
            copy_digest(below + 2 * pairs * DIGEST_BYTES, above + pairs * DIGEST_BYTES);
        __syncthreads();
        side ^= 1;
    }
    if (threadIdx.x == 0) copy_digest(levels[side], folded + (u64)blockIdx.x * DIGEST_BYTES);
}
