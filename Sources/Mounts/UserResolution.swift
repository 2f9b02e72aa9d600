// SPDX-License-Identifier: Apache-2.0

/// A `user[:group]` text turned into numbers by the files of the image, as Docker and runc do it.
struct UserResolution: Equatable {
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var additionalGids: [UInt32] = []
    var home = "/"

    /// The largest identifier that is taken as a number, as runc has it.
    static let identifierLimit = UInt32(Int32.max)

    /// - Parameters:
    ///   - text: empty for root; a name wins over a number of the same spelling.
    ///   - passwd: lines of passwd(5).
    ///   - group: lines of group(5).
    init(_ text: String, passwd: [String], group: [String]) throws(MountsError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        let user = parts.first ?? ""
        let groupText = parts.count > 1 ? parts[1] : ""
        let accounts = passwd.map {
            $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        }
        .filter { $0.count >= 6 && UInt32($0[2]) != nil && UInt32($0[3]) != nil }
        let wanted = user.isEmpty ? "0" : user
        let account = accounts.first { $0[0] == user && !user.isEmpty } ?? accounts.first { $0[2] == wanted }
        if let account {
            uid = UInt32(account[2]) ?? 0
            gid = UInt32(account[3]) ?? 0
            if account[5].hasPrefix("/") { home = account[5] }
        } else {
            guard let number = UInt32(wanted), number <= Self.identifierLimit else {
                throw .unknownUser(user)
            }
            uid = number
        }
        let groups = group.map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
            .filter { $0.count >= 4 && UInt32($0[2]) != nil }
        if groupText.isEmpty {
            guard let name = account?[0] else { return }
            additionalGids = groups.filter { $0[3].split(separator: ",").contains { $0 == name } }
                .compactMap { UInt32($0[2]) }.filter { $0 != gid }
        } else if let found = groups.first(where: { $0[0] == groupText }) {
            gid = UInt32(found[2]) ?? 0
        } else {
            guard let number = UInt32(groupText), number <= Self.identifierLimit else {
                throw .unknownGroup(groupText)
            }
            gid = number
        }
    }
}
