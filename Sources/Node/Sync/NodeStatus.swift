// Where a node stands, and where one row is on its way: for `status`, `trace`, `check` and `digest`.

import Foundation
import GRDB
import Shared

package struct NodeStatus: Codable, Sendable {
    package var school: SchoolInfo?
    package var scope: String?
    package var site: String?
    package var hub: String?
    /// Rows written since the last seal.
    package var pendingRows: Int
    /// Segments that the hub does not hold yet.
    package var outboxSegments: Int
    package var outboxBytes: Int
    package var cursor: Int64
    package var sealedSeq: Int64
    package var receivedSeq: Int64
    package var mergedSeq: Int64
    /// Of the changes up to there, those that the hub holds and cannot read yet.
    package var quarantined: Int
    package var lastSync: Int64?
    /// Rows of which something is disputed at the hub.
    package var openCases: Int
    /// Rows that break a rule of level error.
    package var findings: Int

    enum CodingKeys: String, CodingKey {
        case school, scope, site, hub, cursor, findings, quarantined
        case pendingRows = "pending_rows", outboxSegments = "outbox_segments", outboxBytes = "outbox_bytes"
        case sealedSeq = "sealed_seq", receivedSeq = "received_seq", mergedSeq = "merged_seq", lastSync = "last_sync"
        case openCases = "open_cases"
    }
}

/// One hop of a row's way up.
package struct TraceStep: Codable, Sendable {
    package var step: String
    package var detail: String
}

extension NodeHome {
    package func status() throws(Failure) -> NodeStatus {
        let parent = ParentLink.exists(directory) ? try ParentLink.load(directory) : nil
        let site = parent == nil ? nil : try SiteKeys.load(from: ParentLink.keysPath(directory)).site.description
        do {
            let school = try school()
            return try database.read { db in
                let scope = try Self.scope(db)
                let link = try scope.flatMap { try ScopeLink.load(db, $0) }
                let outbox = try Row.fetchOne(
                    db, sql: "SELECT count(*) AS n, coalesce(sum(length(bytes)), 0) AS size FROM zz_outbox WHERE last > ?",
                    arguments: [link?.received.rawValue ?? 0])!
                var broken: Set<String> = []
                for form in catalogue.forms {
                    for finding in try rules.findings(db, form: form, rows: nil, scope: .node, where: { $0.level == .error }) {
                        broken.insert("\(form.number) \(finding.row)")
                    }
                }
                return NodeStatus(
                    school: school, scope: scope?.description, site: site, hub: parent.map { "\($0.hubName) \($0.url)" },
                    pendingRows: try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_mark")!, outboxSegments: outbox["n"],
                    outboxBytes: outbox["size"], cursor: link?.cursor.rawValue ?? 0, sealedSeq: link?.sealed.rawValue ?? 0,
                    receivedSeq: link?.received.rawValue ?? 0, mergedSeq: link?.merged.rawValue ?? 0,
                    quarantined: try scope.map { try Pending.quarantined(db, $0, upTo: link?.merged ?? .none) } ?? 0,
                    lastSync: link?.lastSync, openCases: try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_disputed")!,
                    findings: broken.count)
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// Where the last changes of a row are: typed, sealed, received, merged, disputed.
    package func trace(form: Form, row: RowID) throws(Failure) -> [TraceStep] {
        do {
            return try database.read { db in
                var steps: [TraceStep] = []
                let scope = try Self.scope(db)
                let link = try scope.flatMap { try ScopeLink.load(db, $0) }
                if let mark = try Mark(db, form, row) {
                    let titles = form.fields.filter { mark.fields.contains($0.number) }.map(\.title).joined(separator: "、")
                    let what = ["edited: \(titles)", "added", "deleted"][mark.life]
                    steps.append(TraceStep(step: "typed", detail: "\(what), by \(mark.author) at \(shownTime(mark.time)); not sent yet"))
                }
                let waiting = try Row.fetchAll(
                    db, sql: "SELECT * FROM zz_unsettled WHERE form = ? AND id = ? ORDER BY seq", arguments: [form.number, row.rawValue])
                for change in waiting {
                    let seq: Int64 = change["seq"]
                    let received = seq <= link?.received.rawValue ?? 0, passed = seq <= link?.merged.rawValue ?? 0
                    let detail =
                        passed ? "the hub keeps it in quarantine, and cannot read it before it works with the version of the catalogue that it was typed under"
                        : received ? "the hub holds it and has not confirmed the merge" : "waits in the outbox"
                    steps.append(
                        TraceStep(step: passed ? "quarantined" : received ? "received" : "sealed", detail: "change \(seq): \(detail)"))
                }
                if try Bool.fetchOne(
                    db, sql: "SELECT EXISTS (SELECT 1 FROM zz_disputed WHERE form = ? AND id = ?)",
                    arguments: [form.number, row.rawValue])!
                {
                    steps.append(TraceStep(step: "disputed", detail: "an operator at the hub has to decide on it"))
                }
                let decisions = try DecisionRecord.list(db, scope: nil, form: form, row: row)
                if steps.isEmpty {
                    steps.append(
                        link == nil
                            ? TraceStep(step: "here", detail: "no hub has been joined")
                            : TraceStep(step: "merged", detail: "everything of this row is merged at the hub"))
                }
                return steps + decisions.map { TraceStep(step: "decided", detail: $0.told(form)) }
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// What hubs decided about this school's rows, in order of time.
    package func decisions(form: Form?) throws(Failure) -> [DecisionRecord] {
        do {
            return try database.read { try DecisionRecord.list($0, scope: nil, form: form) }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    package func check(forms: [Form]) throws(Failure) -> [Finding] {
        do {
            return try database.read { db in
                try forms.flatMap { try rules.findings(db, form: $0, rows: nil, scope: .node) }
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// Digest and number of rows of every form.
    package func digests() throws(Failure) -> [String: (digest: String, rows: Int)] {
        do {
            return try database.read { db in
                try Dictionary(uniqueKeysWithValues: versions.wide(db).dataForms.map {
                    ($0.id, try FormDigest.compute(db, form: $0, scope: nil))
                })
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// Uses an invite: afterwards this node has a scope and a parent, and its marks can be sealed.
    ///
    /// - Throws: `Failure(.refused)` when the invite is for another school, or this node has joined already.
    package func join(_ invite: Invite, label: String) async throws(Failure) -> ParentLink {
        guard case .school(let invited, let scope) = invite.guest else {
            throw Failure(.usage, "This invite is for a hub.", next: "Use `zzsync hub join --invite FILE` at the hub.")
        }
        let present: (school: SchoolInfo?, scope: ScopeID?)
        do { present = (try school(), try self.scope()) } catch { throw storeFailure(error, path: directory) }
        if let own = present.school, own.code != invited.code {
            throw Failure(
                .refused, "This node belongs to school \(own.code) \(own.name), the invite is for \(invited.code) \(invited.name).",
                next: "Ask the hub's operator for the invite of your school.")
        }
        // A damaged parent.json tells its reader to join again.
        if let scope = present.scope, (try? ParentLink.load(directory)) != nil {
            throw Failure(
                .refused, "This node has joined already (scope \(scope)).", next: "Nothing to do: `zzsync sync` exchanges the data.")
        }
        if let known = present.scope, known != scope {
            throw Failure(
                .refused, "This node's data belong to scope \(known).",
                next: "Ask the hub's operator for an invite of that scope (`zzsync hub invite --scope \(known)`).")
        }
        let (link, reply, _) = try await ParentLink.enrol(directory, invite: invite, label: label)
        guard reply.scope == scope.description else {
            throw Failure(.refusedByPeer, "The hub enrolled this node for another school.", next: "Ask its operator for a new invite.")
        }
        try await adopt(scope)
        try link.save(directory)
        return link
    }

    /// From here on this node's marks belong to `scope` and can be sealed.
    package func adopt(_ scope: ScopeID) async throws(Failure) {
        do {
            try await database.write { db in
                try Meta.set(db, "scope", scope.key)
                try ScopeLink.create(db, scope)
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// A session with the hub that this node joined.
    package func session() throws(Failure) -> SyncSession {
        let link = try ParentLink.load(directory)
        let keys = try Incarnation.keys(database, home: directory, path: ParentLink.keysPath(directory))
        let (client, hub) = try link.client(keys: keys)
        return SyncSession(replica: NodeReplica(home: self, keys: keys), client: client, hub: hub)
    }
}
