// SPDX-License-Identifier: Apache-2.0

extension Settings {
    static let containerdSocket = Setting.text(
        "containerd.socket", "",
        "Socket for containerd's proxy plugin; empty for `containerd.sock` in the run directory, `none` for "
            + "none.")
    static let containerdVolumeBytes = Setting.bytes(
        "containerd.volume_size", 64 << 30, in: (64 << 20)...(1 << 43),
        "Size of the file systems of containerd's snapshots, in whole blocks; a label of a snapshot without "
            + "parent may say otherwise.")
}
