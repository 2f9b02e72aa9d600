// SPDX-License-Identifier: Apache-2.0

/// Whether a keeper will bring a daemon back.
public enum KeeperPresence {
    public static func isThere(_ places: Places) -> Bool { KeeperLink.isAlive(places) }
}
