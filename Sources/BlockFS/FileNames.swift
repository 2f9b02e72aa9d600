// SPDX-License-Identifier: Apache-2.0

/// How names of images and volumes are shown as file names: `/` as `%2F`, `%` as `%25`, all else as it is.
public enum FileNames {
    /// The file name of an image or a volume.
    public static func shown(_ name: String) -> String {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "%") }) else {
            return name
        }
        var bytes: [UInt8] = []
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "/"): bytes += "%2F".utf8
            case UInt8(ascii: "%"): bytes += "%25".utf8
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The name that is shown as this file name; nil when no name is.
    public static func name(shownAs file: String) -> String? {
        guard file.utf8.contains(UInt8(ascii: "%")) else { return file.isEmpty ? nil : file }
        var bytes: [UInt8] = []
        var rest = Array(file.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            // One spelling for each name, so that no file has two names: lower-case digits are not accepted.
            if rest.starts(with: "2F".utf8) {
                bytes.append(UInt8(ascii: "/"))
            } else if rest.starts(with: "25".utf8) {
                bytes.append(UInt8(ascii: "%"))
            } else {
                return nil
            }
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
