// SPDX-License-Identifier: Apache-2.0

import HTTP

extension Repository {
    private struct TagList: Decodable {
        let tags: [String]?
    }

    /// Pages that are read at most; a list of a million tags is no answer that helps anyone.
    private static let pageLimit = 1000

    /// All tags, sorted; none when the repository does not exist, which not every registry tells apart.
    public func tags() throws(OCIError) -> [String] {
        try first(of: .resolve) { (endpoint, attempts) throws(OCIError) in
            var tags: [String] = []
            var next: WebAddress? = endpoint.address("/\(name)/tags/list?n=1000")
            var pages = 0
            while let address = next {
                let call = Call("GET", at: address, scopes: pullScope, subject: "tags", place: label)
                let answer = try client.send(call, to: endpoint, attempts)
                if answer.status == 404, pages == 0 { return [] }
                if answer.status != 200 { throw client.failure(of: answer, call) }
                let list = try JSONDocument.decode(
                    TagList.self, answer.response.body, name: "\(label): tags")
                tags += list.tags ?? []
                pages += 1
                next = try nextPage(answer, pages)
            }
            return tags.sorted()
        }
    }

    /// What the `Link` header (RFC 8288) names as the next page, on the same server.
    func nextPage(_ answer: Answer, _ pages: Int) throws(OCIError) -> WebAddress? {
        guard let link = answer.response.header("link"), let start = link.firstIndex(of: "<"),
            let end = link[start...].firstIndex(of: ">"),
            link[end...].lowercased().filter({ $0 != "\"" && $0 != " " }).contains("rel=next")
        else { return nil }
        if pages >= Self.pageLimit {
            throw .limit(label, reason: "the list has more than \(Self.pageLimit) pages")
        }
        let target = String(link[link.index(after: start)..<end])
        guard let next = answer.address.resolving(target), next.isSameOrigin(as: answer.address),
            next != answer.address
        else { throw .badAnswer(label, reason: "the next page is said to be at \(printable(target))") }
        return next
    }
}
