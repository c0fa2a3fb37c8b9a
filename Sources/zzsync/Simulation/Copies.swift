// Homes put back from copies of their files, and copies that go on beside the original.
//
// What a node had written after its copy was taken and not sent is gone with its disk: nobody can be asked for it. All else must be
// found again, so the oracle is told exactly which entries those are: what neither the copy nor the parent holds.

import Crypto
import Foundation
import GRDB
import Hub
import Shared

/// What was known of a home when its copy was taken.
struct HomeBackup {
    let path: String
    /// Writes in the whole country until then.
    let writes: Int
}

extension Country {
    /// Now and then a node's home is copied; now and then the copy is put back, or started beside the original.
    func copyOrPutBack() {
        guard let site = dice.pick(nodes.filter { $0.isUp && !$0.fuse.isBlown && $0.parent!.isUp }) else { return }
        do {
            guard let backup = backups[site.name] else { return try copy(site) }
            if dice.chance(0.2), !sites.contains(where: \.isClone) {
                try clone(site)
            } else if dice.chance(0.6) {
                try putBack(site, backup)
            } else {
                try copy(site)
            }
        } catch {
            failures.append("\(site.name) cannot be copied or put back: \(error)")
        }
    }

    private func copy(_ site: Site) throws {
        let path = "\(folder)/\(site.name).copy"
        try HomeCopy.take(site.fuse.directory, to: path)
        backups[site.name] = HomeBackup(path: path, writes: tallies.writes)
        note("\(site.name) is copied")
    }

    private func putBack(_ site: Site, _ backup: HomeBackup) throws {
        // With the database alone the anchor and the keys stay newer than it; with the whole home everything is old.
        let part: HomeCopy.Part = dice.chance(0.5) ? .home : .database
        let kept = try sentWords(of: site)
        site.fuse.blow(at: "put back")
        try HomeCopy.putBack(backup.path, to: site.fuse.heir, part)
        oracle.forget(of: site.name, after: backup.writes, except: kept)
        site.isCopied = true
        faults.count(.putBack)
        note("\(site.name) is put back (\(part.rawValue)), as it was \(tallies.writes - backup.writes) writes ago")
    }

    /// A second machine with the same home: both go on, and neither knows of the other.
    private func clone(_ site: Site) throws {
        let twin = addClone(of: site)
        try FileManager.default.createDirectory(atPath: twin.fuse.directory, withIntermediateDirectories: true)
        try HomeCopy.take(site.fuse.directory, to: twin.fuse.directory)
        (site.isCopied, twin.isCopied) = (true, true)
        faults.count(.cloned)
        note("\(site.name) is cloned as \(twin.name)")
        scheduler.start(after: 1) {
            await self.rise(twin)
            self.beginDays(of: twin)
        }
    }

    /// What the parent holds of what this node has sealed, by cell; "" stands for a delete of the row.
    private func sentWords(of site: Site) throws -> Set<SentWord> {
        let head = try site.parent!.hub!.home.inbox.head(scopes[site.school!], try site.uplinkKeys().site).last
        let segments = try site.database.read { db in
            let received = max(try ScopeLink.all(db).map { try ScopeLink.load(db, $0)!.received }.max() ?? .none, head)
            return try Data.fetchAll(db, sql: "SELECT bytes FROM zz_outbox WHERE last <= ?", arguments: [received.rawValue])
        }
        var words: Set<SentWord> = []
        for segment in segments.map(Array.init) {
            let signer = try SegmentCodec.inspect(segment).site
            guard let keys = site.signers[signer] else { throw Failure(.damaged, "\(site.name) has segments of \(signer).", next: "") }
            let key = try Curve25519.Signing.PublicKey(rawRepresentation: keys.signing)
            let body = try SegmentCodec.decode(try SegmentCodec.verify(segment, key: key), predictors: catalogue.predictors)
            for changes in body.forms { add(changes, site, to: &words) }
        }
        return words
    }

    private func add(_ changes: FormChanges, _ site: Site, to words: inout Set<SentWord>) {
        guard let form = catalogue[number: changes.form] else { return }
        let columns = form.fields.map { changes.fields.firstIndex(of: $0.number) }
        for index in 0..<changes.count {
            let row = RowKey(scope: scopes[site.school!].rawValue, form: form.number, id: changes.rows[index].rawValue)
            if changes.life[index] == .dead { words.insert(SentWord(row: row, group: nil, word: "")) }
            for (group, fields) in form.groups.enumerated() where !(fields.mask & changes.masks[index]).isEmpty {
                let values = fields.fields.map { columns[$0].map { changes.columns[$0][index] } ?? .null }
                words.insert(SentWord(row: row, group: group, word: Entries.word(values)))
            }
        }
    }
}

/// A value of a cell, or a delete of its row, that has left its node.
struct SentWord: Hashable {
    let row: RowKey
    /// Nil for a delete.
    let group: Int?
    let word: String
}

extension Oracle {
    /// A node's home was put back: what it wrote since the copy is gone, but for what had been sent, and what that was written over.
    func forget(of node: String, after writes: Int, except sent: Set<SentWord>) {
        for (cell, entries) in cells {
            let left = sent.filter { $0.row == cell.row && $0.group == cell.group }
            for (word, entry) in entries where entry.node == node && entry.number > writes && entry.isEntry {
                let isHeld = left.contains { known(cell, $0.word).contains(word) }
                if !isHeld { forgive(cell, word) }
            }
        }
        for row in deaths.keys where !sent.contains(SentWord(row: row, group: nil, word: "")) { forgiveDeaths(of: row, by: node, after: writes) }
    }
}
