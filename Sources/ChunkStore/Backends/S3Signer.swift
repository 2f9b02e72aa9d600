// SPDX-License-Identifier: Apache-2.0

import Base
import Crypto
import Glibc
import HTTP

/// Signs requests the way of AWS, version 4.
struct S3Signer {
    let credentials: S3Credentials
    let region: String
    /// The hash of a body that is not there.
    static let emptyPayload = Digest(hashing: [UInt8]()).hex

    /// What is signed of a request.
    struct Subject {
        var method: String
        /// Name and, unless it is the scheme's own, port.
        var host: String
        /// Escaped, beginning with a slash.
        var path: String
        /// Not escaped.
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        /// SHA-256 of the body in hexadecimal digits.
        var payloadHash = S3Signer.emptyPayload
    }

    /// The headers to send: those of the subject, and those that the signature adds.
    /// - Parameter time: seconds since 1970; the server allows a quarter of an hour of difference.
    func headers(for subject: Subject, time: Int) -> [(name: String, value: String)] {
        let stamp = Self.stamp(time)
        var headers = subject.headers
        headers.append(("x-amz-content-sha256", subject.payloadHash))
        headers.append(("x-amz-date", stamp))
        if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
        let signed = (headers + [("host", subject.host)])
            .map { (name: $0.name.lowercased(), value: Self.trimmed($0.value)) }.sorted { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let canonical = [
            subject.method, subject.path, Self.canonicalQuery(subject.query),
            signed.map { "\($0.name):\($0.value)\n" }.joined(), names, subject.payloadHash,
        ].joined(separator: "\n")
        let scope = "\(stamp.prefix(8))/\(region)/s3/aws4_request"
        let text = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(Digest(hashing: Array(canonical.utf8)).hex)"
        let signature = Self.hex(Self.authentication(text, key(day: String(stamp.prefix(8)))))
        headers.append(
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope),"
                    + "SignedHeaders=\(names),Signature=\(signature)"
            ))
        return headers
    }

    /// Names and values escaped, sorted by name; also what the address is made of.
    static func canonicalQuery(_ query: [(name: String, value: String)]) -> String {
        query.map { (percentEncoded($0.name), percentEncoded($0.value)) }
            .sorted { $0 < $1 }.map { "\($0)=\($1)" }.joined(separator: "&")
    }

    private func key(day: String) -> [UInt8] {
        var key = Array("AWS4\(credentials.secretKey)".utf8)
        for part in [day, region, "s3", "aws4_request"] { key = Self.authentication(part, key) }
        return key
    }

    private static func authentication(_ text: String, _ key: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }

    /// `YYYYMMDDTHHMMSSZ`.
    private static func stamp(_ time: Int) -> String {
        var (seconds, parts) = (time_t(time), tm())
        gmtime_r(&seconds, &parts)
        func digits(_ value: Int32, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        return digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2) + "T"
            + digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2) + "Z"
    }
}
