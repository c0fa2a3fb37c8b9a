// A home copied and put back, file by file, as people do it with a disk image or a USB disk.

import Foundation
import GRDB
import Shared

enum HomeCopy {
    /// What is put back.
    enum Part: String, CaseIterable {
        case home, database, keys
    }

    /// Databases whole, through SQLite, for they may be open; the rest as files.
    static func take(_ home: String, to copy: String) throws {
        let files = FileManager.default
        try? files.removeItem(atPath: copy)
        try files.createDirectory(atPath: copy, withIntermediateDirectories: true)
        for name in try files.contentsOfDirectory(atPath: home) where !isFleeting(name) {
            if name.hasSuffix(".db") {
                let target = try DatabaseQueue(path: "\(copy)/\(name)")
                try DatabaseQueue(path: "\(home)/\(name)").backup(to: target)
                try target.close()
            } else {
                try files.copyItem(atPath: "\(home)/\(name)", toPath: "\(copy)/\(name)")
            }
        }
    }

    /// Nobody may have the home open.
    static func putBack(_ copy: String, to home: String, _ part: Part) throws {
        let files = FileManager.default
        let isWanted: (String) -> Bool = { name in
            switch part {
            case .home: true
            case .database: ["node.db", "hub.db"].contains(name)
            case .keys: name == "keys.json"
            }
        }
        for name in try files.contentsOfDirectory(atPath: home) {
            let owner = name.replacing("-wal", with: "").replacing("-shm", with: "")
            if isWanted(owner) { try files.removeItem(atPath: "\(home)/\(name)") }
        }
        for name in try files.contentsOfDirectory(atPath: copy) where isWanted(name) {
            try files.copyItem(atPath: "\(copy)/\(name)", toPath: "\(home)/\(name)")
        }
    }

    private static func isFleeting(_ name: String) -> Bool {
        [".lock", "-wal", "-shm"].contains { name.hasSuffix($0) }
    }
}
