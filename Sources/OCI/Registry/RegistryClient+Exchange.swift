// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

extension RegistryClient {
    /// Sends a call to a server until there is an answer that another attempt would not better.
    ///
    /// The answer may be an error of the server; `failure(of:)` puts it into words.
    func send(_ call: Call, to endpoint: Endpoint, _ attempts: Int) throws(OCIError) -> Answer {
        var retry = Retry(settings, attempts: call.isRepeatable ? attempts : 1)
        while true {
            switch try once(call, endpoint) {
            case .success(let answer):
                let isPassing = passingStatuses.contains(answer.status)
                if !isPassing || !retry.pause(askedSeconds: RetryAfter.seconds(answer.response)) {
                    return answer
                }
            case .failure(let error):
                if !error.isPassing || !retry.pause(askedSeconds: nil) { throw wording(error, call) }
            }
        }
    }

    /// Shows what the server wants to see; after a refusal with a new token, once.
    private func once(_ call: Call, _ endpoint: Endpoint) throws(OCIError) -> Result<Answer, HTTPError> {
        let authorizer = authorizer(endpoint)
        let name = call.place.isEmpty ? "" : repositoryName(call.place)
        var granted = try authorizer.authorization(for: call.scopes, name)
        for isLast in [false, true] {
            let result = follow(call, endpoint, granted)
            guard case .success(let answer) = result else { return result }
            if answer.status != 401, granted == nil { authorizer.noteOpen() }
            if answer.status != 401 || isLast { return result }
            // A storage service that refuses has nothing to say about tokens of the registry.
            if !answer.address.isSameOrigin(as: endpoint.root) { return result }
            let again = try authorizer.renew(after: answer, call.scopes, name)
            guard let again else { return result }
            granted = again
        }
        return .failure(.failed(endpoint.host, reason: "unreachable"))
    }

    /// The name below the registry's, as `Call.place` has it.
    private func repositoryName(_ place: String) -> String {
        place.firstIndex(of: "/").map { String(place[place.index(after: $0)...]) } ?? ""
    }

    private func follow(_ call: Call, _ endpoint: Endpoint, _ granted: Granted?) -> Result<Answer, HTTPError>
    {
        var address = call.address ?? endpoint.address(call.path)
        var method = call.method
        for step in 0...call.redirects {
            let response: Response
            do throws(HTTPError) {
                response = try perform(method, address, call, endpoint, granted)
            } catch { return .failure(error) }
            let answer = Answer(response: response, address: address, endpoint: endpoint, granted: granted)
            guard let target = answer.redirectTarget, call.redirects > 0 else { return .success(answer) }
            if step == call.redirects { break }
            guard answer.mayFollow(target) else {
                return .failure(
                    .failed(
                        address.redacted, reason: "redirected to \(target.redacted), which is not followed"))
            }
            let isReading = method == "GET" || method == "HEAD"
            // What is written goes on only where the method stays the same.
            if !isReading, ![307, 308].contains(response.status) { return .success(answer) }
            if response.status == 303, method != "HEAD" { method = "GET" }
            address = target
        }
        return .failure(.tooManyRedirects(address.redacted, limit: call.redirects))
    }

    private func perform(
        _ method: String, _ address: WebAddress, _ call: Call, _ endpoint: Endpoint, _ granted: Granted?
    ) throws(HTTPError) -> Response {
        let isHome = address.isSameOrigin(as: endpoint.root)
        var request = Request(
            method, "\(address)", headers: call.headers, connectTimeoutMs: settings.connectTimeoutMs,
            responseLimitBytes: call.limitBytes)
        var options = TransferOptions(
            group: call.group, range: call.range, tls: endpoint.tls, redirects: 0,
            stallTimeoutMs: settings.stallTimeoutMs, upload: call.body, uploadProgress: call.progress)
        if isHome {
            request.headers += endpoint.headers
            if let granted { request.headers.append(("Authorization", granted.header)) }
        } else {
            (options.tls.clientCertificate, options.tls.clientKey) = (nil, nil)
        }
        return try loop.perform(request, options)
    }

    // MARK: - Words

    /// What an answer that is no success means.
    func failure(of answer: Answer, _ call: Call) -> OCIError {
        let said = ErrorBody.text(answer.response)
        switch answer.status {
        case 401, 403:
            let who =
                answer.address.isSameOrigin(as: answer.endpoint.root) ? "" : answer.address.authority + ": "
            return .denied(
                call.name, reason: who + said + "; " + credentials.advice(answer.granted, answer.endpoint))
        case 404: return .notFound(call.subject, in: call.place.isEmpty ? answer.endpoint.host : call.place)
        case 429:
            let wait = RetryAfter.seconds(answer.response).map { "; it asks to wait \(Int($0)) s" } ?? ""
            return .unavailable(call.name, reason: "too many requests: \(said)\(wait)")
        case let status where passingStatuses.contains(status):
            return .unavailable(call.name, reason: "\(answer.endpoint.host) answers \(status): \(said)")
        default: return .refused(call.name, status: answer.status, reason: said)
        }
    }

    func wording(_ error: HTTPError, _ call: Call) -> OCIError {
        switch error {
        case .tls:
            let hint = "if its certificate is your own authority's, put that one into \(certificatesHint)"
            return .unavailable(call.name, reason: "\(error); \(hint)")
        case .bodyTooLong(_, let limit):
            return .limit(call.name, reason: "the answer has more than \(limit) bytes")
        case .uploadUnreadable(_, let reason): return .unavailable(call.name, reason: reason)
        default: return .unavailable(call.name, reason: "\(error)")
        }
    }

    private var certificatesHint: String {
        (settings.certsDirectory ?? settings.dockerCertsDirectory ?? "the certificates' directory")
            + "/HOST/ca.crt"
    }
}

/// Statuses of a server in passing trouble.
let passingStatuses: Set<Int> = [408, 425, 429, 500, 502, 503, 504]

extension HTTPError {
    /// Another attempt may succeed.
    var isPassing: Bool {
        switch self {
        case .cannotConnect, .timedOut, .stalled, .cutShort, .reset, .proxy: true
        default: false
        }
    }
}

/// The header in which a server says when it can be asked again (RFC 9110, section 10.2.3).
enum RetryAfter {
    /// nil when it says nothing.
    static func seconds(_ response: Response, now: Double = wallSeconds()) -> Double? {
        guard let text = response.header("retry-after") else { return nil }
        if let seconds = Double(text), seconds >= 0, seconds.isFinite { return seconds }
        return httpDate(text).map { max(0, $0 - now) }
    }
}

/// The errors that registries put into bodies: `{"errors":[{"code":…,"message":…}]}`.
enum ErrorBody {
    private struct Document: Decodable {
        struct Entry: Decodable {
            let code: String?
            let message: String?
        }
        let errors: [Entry]?
        let details: String?
        let message: String?
    }

    /// One line for people, safe to print.
    static func text(_ response: Response) -> String {
        let document = try? JSONDocument.decode(Document.self, response.body, name: "error")
        let entries = (document?.errors ?? []).compactMap { entry -> String? in
            let parts = [entry.code, entry.message].compactMap { $0 }.filter { !$0.isEmpty }
            return parts.isEmpty ? nil : parts.joined(separator: ": ")
        }
        if !entries.isEmpty { return printable(entries.prefix(3).joined(separator: "; ")) }
        if let text = document?.details ?? document?.message { return printable(text) }
        let text = String(decoding: response.body.prefix(200), as: UTF8.self)
        let isPage = text.contains("<") || text.contains("\u{FFFD}")
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return isPage || line.isEmpty ? "status \(response.status)" : printable(line)
    }
}
