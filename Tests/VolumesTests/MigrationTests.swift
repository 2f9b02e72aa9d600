// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import GRDB
import Testing

@testable import Volumes

/// A state directory that a program of format 1 made: an image, a volume cloned from it and written to, a sealed
/// snapshot of that volume, the volume written to again, and an untouched clone of the snapshot.
@Suite struct MigrationTests {
    private let directory: TestDirectory

    init() throws {
        directory = try TestDirectory()
    }

    private var image: [UInt8] {
        (0..<40 * Block.bytes).map { $0 / Block.bytes == 5 ? 0 : UInt8($0 / Block.bytes + 1) }
    }

    private func unpack() throws -> String {
        let root = directory.path + "/root"
        try Directories.create(root)
        try File(open: directory.path + "/packed", 0o101).write(Array(Self.packed.utf8), at: 0)
        let result = try Subprocess.run([
            "sh", "-c", "base64 -d '\(directory.path)/packed' | tar -xzC '\(root)'",
        ])
        #expect(result.succeeded, "\(result.errors)")
        return root
    }

    private func version(_ root: String) throws -> Int? {
        try DatabaseQueue(path: root + "/catalog.db").read { db in
            try Int.fetchOne(db, sql: "SELECT version FROM format")
        }
    }

    @Test func aStoreOfFormatOneIsTakenOver() throws {
        let root = try unpack()
        #expect(try version(root) == 1)
        var changed = image
        changed.replaceSubrange(4096 * 3 + 10..<4096 * 3 + 13, with: [9, 9, 9])
        for _ in 1...2 {
            let store = try VolumeStore(root: root)
            #expect(store.images().map(\.name) == ["debian/12", "kept"])
            #expect(store.images().allSatisfy { $0.brokenReason == nil && $0.sources.isEmpty })
            #expect(store.images().allSatisfy { $0.localBytes == $0.dataBytes && $0.dataBytes != nil })
            expectEqual(try store.content(image: "debian/12"), image, "image")
            expectEqual(try store.content(image: "kept"), changed, "snapshot")
            expectEqual(try store.blockFile(volume: "untouched").content(), changed, "untouched clone")
            var written = changed
            written.replaceSubrange(8192..<12288, with: [UInt8](repeating: 7, count: 4096))
            expectEqual(try store.blockFile(volume: "box").content(), written, "volume")
            store.close()
        }
        #expect(try version(root) == Catalog.formatVersion)
    }

    /// A daemon killed inside of it leaves format 1 as it was.
    @Test func theMigrationIsOneTransaction() throws {
        let root = try unpack()
        let queue = try DatabaseQueue(path: root + "/catalog.db")
        // In the way of the new table.
        try queue.write { try $0.execute(sql: "CREATE TABLE sources (other TEXT)") }
        try queue.close()
        #expect(throws: VolumeError.self) { try VolumeStore(root: root) }
        #expect(try version(root) == 1)
        try DatabaseQueue(path: root + "/catalog.db").write { try $0.execute(sql: "DROP TABLE sources") }
        let store = try VolumeStore(root: root)
        expectEqual(try store.content(image: "debian/12"), image, "image")
    }

    /// A tar archive, gzip, base64.
    private static let packed = """
        H4sIAAAAAAACA+3aC3AU530A8DtJSAgEwnZ4Bcc6SBPLNkj30OmRTOuAIQYjcGJg6rgxZE93woqEhKWTyyN+ENUzkLoJk2YSQtym
        tjuJ3SYzeFJnysR2bLd5zMTj2J3xOJgJZEocj9N24gy4bjDQ3p0kzNMT2qKE5feD/Xb32+++3fv++q/07V1DY+S8ixe0xOOldfz0
        dWk7kU7F46l4OpVOFOqb483JSCwdGQODA/mgPxaLXKQaGrO5nnww0Pj7Ev94qlDfkkqlxH9M459KZjPpdK4tnmhr7WxKNDdkg3zw
        /xf/5rPGP3F6/BMtTU1NkdiKiyL+w6OQPG1ESpvp0zPlf3eC9FleXAUAAACE3tmf//T0rY2MwfOf5Jme/yQTieZILO7533m3on3p
        wvYbr58QjUSm1Bf2/7ugWD/t0I7oa6v2JqMj7aoX/MmPr7l6cctjG5Zv+saGL3YV6577TtuXIwAAAMDvvRcLE/yywjo6spw49393
        2y0HX6x4u77slOO/SLxxrREEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
        AAAAAAAIh4bGnr6O7vN7jnhBczxeWsdPX5e2E+lUPJ6KF8pUob65JZmMxOJjMQCDA/mgPxa7eOPfcdtgb/dA43mOf8s5xb8llS7E
        Py3+Yxf/rt5sbkNDT9/asc//puZT4p9IJJqb5f9YWNG+dMnyhTdPiEYKoz0lEvne4/flL/nzG/59z2f2Pnb5U9u2RN/htbsfe+qt
        6+7YNbfutWWv7B7a9K3sob1XzMhuv/qhr16+esEnZkf7x92zbLTtuEJHf/TI7XVvrF/xqVu7azbt3789//Gh3JtHh9ZsjB644dbn
        drx8yeFVx75QaltYphTaD/1z03ue/eTRYGfmmwcHNqcb5+w78ubPl9zy/We2bf3ar2bd/dPDU8cvLrafOtJ+y+DcD6+e+ZPNi++t
        3bXv82/94KVtOxdu73v5Kw//+trnn9609f7v/uyBmmL79xWWskL7jX/7lw9Pm3dk2ouTu+/u/WDVk3t23HXswYlN845W7T9w6e62
        T8/YeM/KYvsrC0u00P7gK9/5m9Dmf9Cf6w3Oz6+Bc77/J+LNyZT7/+8i/qMBaSjtj8H9P32m+CfT8Rb3/7EQBQAAAEKvDAAAAAi9
        cgAAACD0KgAAAIDQGwcAAACEXhUAAAAQeuMBAACA0KsGAAAAQm8CAAAAEHoTAQAAgNCrAQAAAEJvEgAAABB6kwEAAIDQqwUAAABC
        bwoAAAAQepcAAAAAoXcpAAAAEHqXAQAAAKH3LgAAACD0pgIAAAChNw0AAAAIvekAAABA6M0AAAAAQm8mAAAAEHrvBgAAAEJvFgAA
        ABB6lwMAAACh9x4AAAAg9K4AAAAAQq8OAAAACL0YAAAAEHqzAQAAgNCbAwAAAITeewEAAIDQ+wMAAAAg9N4HAAAAhN77AQAAgNC7
        EgAAAAi9egAAACD0Ko6rrq6uAAAAAMKooXFdsH6gMXI+xQta4vHSOn76urSdSKfi8VS8UKYixdaJlkgsHRkDgwP5oD8Wi1ykRuIf
        T7Wm001tQVu2tSOVChLJZBAksx2tnUFzMtORaMnmmlMdrZl4kEglgragJZkIOrKZTOFAWxDPpnMNhV7eMf7N7xD/pnj65Pgn482p
        5kgsLv7n3Yr2pQuWzf/IhGgkMqW+sD+usFSecPy6O3bNrXtt2Su7hzZ9K3to7xUzstuvfuirl69e8InZ0f5x9ywbN23ekWkvTu6+
        u/eDVU/u2XHXsQcnNs07WrX/wKW72z49Y+M9K6NvrF/xqVu7azbt3789//Gh3JtHh9ZsjB644dbndrx8yeFVx74w5dlPHg12Zr55
        cGBzunHOviNv/nzJLd9/ZtvWr/1q1t0/PTx1/OIpq2f+ZPPie2t37fv8Wz94advOhdv7Xv7Kw7++9vmnN229/7s/e6CmbPRiywv/
        IpFoaakYqYtWFN9OscmUyLRSm+LW+wtlRan+qj1/Pzdy8RrJ/3QqSCYzLdlkKh3EO1pzra2ZRFNbZ5Bp7mzOtTQlc0FnPGjpSLTm
        4tmOZGfQ1ppNdhaKpnhzIhFvSf2f8j+VjJ+a/03phPz/XeR/xcjyW+f/GKb3uNKdKXo8lcuOp3J5aW/pC4fmRTjH/O8I8kFP39qG
        bOZ8/v3X3NR05vxPnOHvv2Kd/B+b/P9oe1c+F+vs618X5GOpQj6VlUU+VBqPYnqNP6Fp1Sm3huhv0X1ZpKEjOmnytyNVNZ+L1P7j
        5CcnT568rWbfpP2FXQAA4OK2rKpy+pWzomu7erO5DXf09Qyuyw2syeZ68sHIzvjrblo0f+Wi2JLlCxfdHDupRezG5aMVsfpSzVVb
        7hpXNX3WrOjQinyQ6cmNHB1ZVY50tXL+gvZFb79yQqygN1iXi61cdPPK2EduWrJs/k0fiy1d9LG5sa5s4cQrF12/6KbY8htXxpav
        am+fGxvoDdYP3NaXHz00NzZ8Oae1LPWc6enr6B44Qze3BQNrOrt6cmc6tj7oz/Xm13StC9aOXNbJnXb054J87vSLu2peZeX0+bOi
        kdJ4DtzeU5jrrQkG832l/TWjw5cY2ajaWF41febM6JZlpeEqnW5guKw4abCG62L1ZxmmU0fkhHdy1iu9pqJy+rUzz3alwydckxhe
        jxudmW7507Kq6XV10aE/LF3w6HkHjm+Un3TZx6tHonxCOE+6/uHhPks858bWBetjC9pvXDA31tffVfhRHd555+h29PV2dq0d7A/y
        XX3DLzjxJ6hvsL/j3AL74WhlMVJdpfc9PHsfLstOescj8/r6O3L9A8UTn9bPpOJEvvZIpPAfAAAACKGyaFl1cf5fVrswUruw9jEj
        AgAAAGe39tFd2/71P/7r+ZeemFDYa2+P1s+uKL935c6/ui/1wJy/m/fDw5nHp+/r+OGuBxKPfH32N/Y+eufOSatXPHjNne+9peaz
        Wx9dcvjb//nqgl++/vWnPzvpmcM7/uU3f/GhYMpA/eY5fQNzPjCnp6t3cMOcO4e/oPGBTN+G7uhn/mn+o4//9ecOHhh64UelE0ai
        9VMrzrHDfG4gX+xqeP7/40jtK4UCAAAAuBC8q6xiamVFd259PvPU8nlP1v/xE8VJ/sxoRV1lRTaX6Qp6GxPJzOuvH9vw9As/Kh6a
        UJr//zJSe7BQAAAAABe48eVTo8UHA2U15XXVx58FDH/+/6VI7bOFAgAAABhLqbLqusrKyuj4qRWDvfm+wY7bctlV3Y9874n+vXtG
        P9mPfenPPnr7L+66v744qy9+lp+MVl9WfFF1XUWmb8P192UmXvnQP6RGmyf3rnotuuPQtPrjc/+3P///t0jtbwoFAAAAcKGbVF4X
        Pf4woayy/LLqTN+G4fn/q5HaV2sPGSIAAAC4oNWUV0ZHvy9QNrG8snr02wCGBgAAAAAAAAAufP8DU5bFYABgBAA=
        """
}
