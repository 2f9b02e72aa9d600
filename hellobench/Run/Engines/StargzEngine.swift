// SPDX-License-Identifier: Apache-2.0

/// The stargz snapshotter, which Debian does not have.
enum StargzEngine {
    /// Its package holds the client alone, in Debian 12 and in 13.
    static let absence = BenchError.answer(
        "--engine stargz: not to be had: Debian's package stargz-snapshotter holds ctr-remote alone, "
            + "and no containerd-stargz-grpc")
}
