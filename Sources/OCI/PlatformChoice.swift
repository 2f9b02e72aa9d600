// SPDX-License-Identifier: Apache-2.0

extension Platform {
    /// The entry of an index that is for a platform.
    /// - Parameter platform: nil takes this machine's, or the only entry there is.
    /// - Throws: `.noSuchPlatform`.
    public static func choose(
        _ candidates: [Descriptor], for platform: Platform?
    ) throws(OCIError) -> Descriptor {
        // One entry needs no choice, unless it says that it is for something else than what was asked for.
        if candidates.count == 1, let only = candidates.first, platform == nil || only.platform == nil {
            return only
        }
        let wanted = platform ?? .host
        let matching = candidates.filter { $0.platform?.serves(wanted) ?? false }
        let exact = matching.first { $0.platform?.variant == wanted.variant }
        if let chosen = exact ?? matching.first { return chosen }
        // Attestations stand beside images under the platform "unknown".
        let available = candidates.map { $0.platform.map(\.description) ?? "unnamed" }.filter {
            $0 != "unknown/unknown"
        }
        throw .noSuchPlatform("\(wanted)", available: available)
    }
}
