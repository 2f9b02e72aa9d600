// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What libFuzzer calls once; the environment names the parser, or asks for seeds.
@c(LLVMFuzzerInitialize)
public func initialize(
    _ count: UnsafeMutablePointer<Int32>?,
    _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> Int32 {
    guard let name = getenv("SLACKER_FUZZ").map({ String(cString: $0) }), let parser = parsers[name] else {
        let known = parsers.keys.sorted().joined(separator: " ")
        print("SLACKER_FUZZ names none of: \(known)")
        exit(2)
    }
    if let directory = getenv("SLACKER_FUZZ_SEEDS") {
        for (index, seed) in parser.seeds().enumerated() {
            guard let file = fopen("\(String(cString: directory))/seed\(index)", "w") else { exit(1) }
            fwrite(seed, 1, seed.count, file)
            fclose(file)
        }
        exit(0)
    }
    chosen = parser
    return 0
}

/// What libFuzzer calls with each input; a trap is a find, an error is not.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    chosen?.parse([UInt8](UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// Set once, before the first input, by the one thread there is.
nonisolated(unsafe) private var chosen: Parser?
