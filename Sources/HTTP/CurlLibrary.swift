// SPDX-License-Identifier: Apache-2.0

import CCurl

/// libcurl, loaded on first use and kept until the program ends.
enum CurlLibrary {
    /// A table that never changes once it is filled, so any thread may use it.
    struct Table: @unchecked Sendable {
        let pointer: UnsafePointer<slk_curl>
    }

    static func table() throws(HTTPError) -> UnsafePointer<slk_curl> {
        try loaded.get().pointer
    }

    // A static is initialised once, by one thread, as curl_global_init wants it.
    private static let loaded: Result<Table, HTTPError> = {
        let table = UnsafeMutablePointer<slk_curl>.allocate(capacity: 1)
        if let missing = slk_curl_load(table) {
            table.deallocate()
            return .failure(.libraryMissing(String(cString: missing)))
        }
        let result = table.pointee.global_init(Int(CURL_GLOBAL_ALL))
        if result != CURLE_OK {
            return .failure(.failed("libcurl", reason: "curl_global_init: \(result.rawValue)"))
        }
        return .success(Table(pointer: table))
    }()
}
