// Segments that a hub cannot understand yet, and the count of everything that was sent: each cell is merged, equal, disputed,
// overtaken, or still lies in quarantine.
//
// What makes a segment unreadable (a form, a field, a code table that the hub does not have) is tried elsewhere; here it is the luck
// of the draw, so that it meets with crashes, deletes and hubs that are put back.

import Crypto
import Foundation
import GRDB
import Hub
import Shared

extension Country {
    private static let hour = 3_600_000

    /// Before a merge: the oldest segment that waits is not understood, until a newer program comes.
    func misunderstand(at site: Site) {
        guard plan.hasFaults, !isResting, dice.chance(0.03), let inbox = site.hub?.home.inbox else { return }
        do {
            guard let number = try inbox.nextWaiting(), try !isMerged(number, at: site) else { return }
            try inbox.quarantine(number, reason: "this program is too old for it")
            faults.count(.quarantined)
            note("\(site.name) cannot read segment \(number)")
        } catch {
            failures.append("\(site.name): segments cannot be kept: \(error)")
        }
        scheduler.start(after: dice.roll(Self.hour...36 * Self.hour)) { await self.understand(at: site) }
    }

    /// It was merged by a process that ended before it could say so: that one understood it.
    private func isMerged(_ number: Int64, at site: Site) throws -> Bool {
        let (scope, child, last) = try site.hub!.home.inbox.end(of: number)
        return try site.database.read { db in
            try Int64.fetchOne(db, sql: "SELECT merged FROM zz_child WHERE scope = ? AND site = ?", arguments: [scope.key, child.key]) ?? 0
        } >= last.rawValue
    }

    /// A newer program: whatever lies in quarantine is released.
    func understand(at site: Site) async {
        guard let inbox = site.hub?.home.inbox, !site.fuse.isBlown else { return }
        do {
            for segment in try inbox.quarantined() where try inbox.release(segment.number) {
                faults.count(.released)
                note("\(site.name) can read segment \(segment.number)")
            }
        } catch {
            failures.append("\(site.name): segments cannot be released: \(error)")
        }
        await drain(site)
    }

    // MARK: the count

    /// Cells that a child has sealed, as they ended at its parent; counted apart from the product, from the bytes.
    struct Sent {
        /// Scope → cells that the parent has merged by its own word, and cells that lie in quarantine there or wait.
        var ended: [Int64: Int] = [:]
        var quarantined: [Int64: Int] = [:]
        var waiting: [Int64: Int] = [:]
    }

    func sentCells(of site: Site, to parent: Site) throws -> Sent {
        let own = site.keys.site.key
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: site.keys.publicKeys.signing)
        let merged = try parent.database.read { db in
            Dictionary(
                uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT scope, merged FROM zz_child WHERE site = ?", arguments: [own])
                    .map { ($0["scope"] as Int64, $0["merged"] as Int64) })
        }
        let released = try parent.database.read { try Set(String.fetchAll($0, sql: "SELECT key FROM zz_meta WHERE key LIKE 'released %'")) }
        let states = try parent.hub!.home.inbox.states(of: site.keys.site)
        var sent = Sent()
        for (scope, first, last, bytes) in try site.database.read({ db in
            try Row.fetchAll(db, sql: "SELECT scope, first, last, bytes FROM zz_outbox ORDER BY scope, first").map {
                ($0["scope"] as Int64, $0["first"] as Int64, $0["last"] as Int64, Array($0["bytes"] as Data))
            }
        }) {
            let body = try SegmentCodec.decode(try SegmentCodec.verify(bytes, key: key), predictors: catalogue.predictors)
            let cells = body.forms.reduce(0) { $0 + count($1, by: parent.catalogue) }
            let state = states[Inbox.Segment(scope: ScopeID(key: scope), first: Seq(first))]
            if let state, state.state == "quarantined" || state.state == "released" && !released.contains("released \(state.number)") {
                sent.quarantined[scope, default: 0] += cells
            } else if last <= merged[scope] ?? 0 {
                sent.ended[scope, default: 0] += cells
            } else {
                sent.waiting[scope, default: 0] += cells
            }
        }
        return sent
    }

    /// As a judge of that catalogue counts them: what it does not know stands alone.
    private func count(_ changes: FormChanges, by cut: Catalogue) -> Int {
        let form = catalogue[number: changes.form]!
        let known = cut[number: changes.form]
        let foreign = form.groups.map(\.mask).filter { ($0 & (known?.allFields ?? FieldMask())).isEmpty }
        let masks = (known?.groups.map(\.mask) ?? []) + foreign
        return (0..<changes.count).reduce(0) { sum, index in
            sum + masks.count { !($0 & changes.masks[index]).isEmpty } + (changes.life[index] == .unchanged ? 0 : 1)
        }
    }

    /// Sent = merged + equal + disputed + overtaken + quarantined, for every scope of a child. A parent that has switched has counted some
    /// of them by another cut of the groups.
    func inspectCells(_ site: Site, _ parent: Site) throws {
        guard !parent.hasSwitched else { return }
        let sent = try sentCells(of: site, to: parent)
        let ended = try parent.database.read { db in
            Dictionary(
                uniqueKeysWithValues: try Row.fetchAll(
                    db, sql: "SELECT scope, merged_cells + equal + disputed + overtaken AS cells FROM zz_child WHERE site = ?",
                    arguments: [site.keys.site.key]
                ).map { ($0["scope"] as Int64, $0["cells"] as Int) })
        }
        for scope in Set(sent.ended.keys).union(ended.keys).sorted() where sent.ended[scope] ?? 0 != ended[scope] ?? 0 {
            expect(
                false,
                "\(site.name) sent \(sent.ended[scope] ?? 0) cells that \(parent.name) has merged (beside \(sent.quarantined[scope] ?? 0) in "
                    + "quarantine and \(sent.waiting[scope] ?? 0) that wait), there \(ended[scope] ?? 0) ended")
        }
        if isResting { expect(sent.waiting.isEmpty && sent.quarantined.isEmpty, "\(site.name): not all that it sent is merged at \(parent.name)") }
    }
}
