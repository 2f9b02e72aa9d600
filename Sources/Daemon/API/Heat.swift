// SPDX-License-Identifier: Apache-2.0

/// What is known of the blocks of an image, `GET /v1/names/NAME/heat`.
public struct HeatInfo: Codable, Equatable, Sendable {
    /// Blocks of 4 KiB that follow each other and are of one kind; what no run covers is a hole.
    public struct Run: Codable, Equatable, Sendable {
        public let start: UInt32
        public internal(set) var count: UInt32
        /// The recorded start of a container reads them.
        public let touched: Bool
        /// They can be read without fetching.
        public let here: Bool
        /// The image came from a source: what is here was fetched.
        public let fetchable: Bool
        /// Another image here has them too.
        public let shared: Bool

        func goesOn(with next: Run) -> Bool {
            start + count == next.start && touched == next.touched && here == next.here
                && fetchable == next.fetchable && shared == next.shared
        }
    }

    public let image: String
    public let blockCount: UInt32
    public let hasProfile: Bool
    public let runs: [Run]
}
