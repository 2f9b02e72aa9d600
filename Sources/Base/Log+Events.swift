// SPDX-License-Identifier: Apache-2.0

import Logging

extension Log {
    /// Something is wrong, and the program went on without what it wanted to do.
    public static func error(_ module: String, _ message: String, _ facts: [String: String] = [:]) {
        logger(module).error("\(message)", metadata: facts.mapValues { .string($0) })
    }

    /// Something is odd, and was dealt with.
    public static func warning(_ module: String, _ message: String, _ facts: [String: String] = [:]) {
        logger(module).warning("\(message)", metadata: facts.mapValues { .string($0) })
    }

    /// Something happened that a person may look for later.
    public static func info(_ module: String, _ message: String, _ facts: [String: String] = [:]) {
        logger(module).info("\(message)", metadata: facts.mapValues { .string($0) })
    }
}
