// Takes segments from the inbox in order of arrival and merges each in one transaction of the hub's store. Asynchronous to
// uploads; killed anywhere, it repeats the segment in hand, which merges to nothing if its transaction had committed.

import Crypto
import Foundation
import GRDB
import Shared

package actor MergeWorker {
    private let home: HubHome
    private let now: @Sendable () -> Int64
    private var wakeUps: AsyncStream<Void>.Continuation?

    package init(_ home: HubHome, now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }) {
        self.home = home
        self.now = now
    }

    /// Tells the worker that the inbox has something.
    package func wake() { wakeUps?.yield() }

    /// Merges as segments come, until the task is cancelled.
    ///
    /// - Parameter report: is told of failures that are not the segment's fault (disk full); the worker goes on with the next
    ///   wake-up, nothing is lost.
    package func run(report: @Sendable (Failure) -> Void) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        wakeUps = continuation
        continuation.yield()
        do { try await catchUp() } catch { if !Task.isCancelled { report(error) } }
        for await _ in stream {
            do { try await drain() } catch {
                if Task.isCancelled { return }      // told to stop in the middle of a merge, which is repeated at the next start
                report(error)
                // A full disk, mostly: what waits must not wait for the next upload.
                Task {
                    try? await Task.sleep(for: .seconds(10))
                    wake()
                }
            }
        }
    }

    /// What a program that ended had left to do: claims after a switch, spool files of what it had stored.
    package func catchUp() async throws(Failure) {
        do {
            try home.inbox.sweep()
            try await ClaimKeeper(home: home).updateAll()
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    /// Merges everything that waits, of all schools or of one. While one segment is written the next is decoded: verifying and decoding are a third of
    /// the work, and need nothing of what the merge changes.
    package func drain(_ scope: ScopeID? = nil) async throws(Failure) {
        do {
            var ahead: Reading?
            while let number = try home.inbox.nextWaiting(of: scope) {
                if Task.isCancelled { return }
                let reading = if let ahead, ahead.segment.number == number { ahead } else { try read(number) }
                // Not beside the first one's decoding: nothing is merged until that is done.
                _ = await reading.decoding.result
                ahead = try home.inbox.nextWaiting(after: number, of: scope).map(read)
                try await merge(reading)
            }
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    /// A segment that is being decoded.
    private struct Reading {
        let segment: ReceivedSegment
        let decoding: Task<(body: SegmentBody, header: SegmentHeader), any Error>
    }

    private func read(_ number: Int64) throws -> Reading {
        let (home, segment) = (home, try home.inbox.segment(number))
        return Reading(segment: segment, decoding: Task.detached { try await Self.decode(segment, home) })
    }

    private func merge(_ reading: Reading) async throws {
        let segment = reading.segment
        let (body, header): (SegmentBody, SegmentHeader)
        do {
            (body, header) = try await reading.decoding.value
        } catch let unreadable as Unreadable {
            return try home.inbox.quarantine(segment.number, reason: unreadable.reason)
        }
        let line = try await home.database.read { db in
            try Incarnations.line(db, scope: segment.scope, of: segment.site, before: segment.first)
        }
        let older = try line.compactMap { try home.inbox.oldestQuarantinedCursor(segment.scope, $0.site, before: $0.before) }.min()
        guard let seen = try home.inbox.waitingCursor(segment.number) else { return }
        let cursor = min(seen, older ?? seen)
        let logEnd: Position
        do {
            logEnd = try await commit(body, header, cursor: cursor, segment)
        } catch let error as DatabaseError where Self.isOfTheSegment(error) {
            // One segment that the store will not take must not stop the schools behind it.
            return try home.inbox.quarantine(segment.number, reason: "the store refuses it: \(error.message ?? "")")
        }
        KillPoint.reach("merge.commit", in: home.directory)
        try home.inbox.markMerged(segment.number, segment.scope, logEnd: logEnd)
        KillPoint.reach("merge.mark", in: home.directory)
    }

    /// What the content of a segment can cause; a full or broken disk is not among it.
    private static func isOfTheSegment(_ error: DatabaseError) -> Bool {
        [.SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_TOOBIG, .SQLITE_RANGE, .SQLITE_ERROR].contains(error.resultCode)
    }

    private func commit(
        _ body: SegmentBody, _ header: SegmentHeader, cursor: Position, _ segment: ReceivedSegment
    ) async throws -> Position {
        let home = home
        let now = now()
        let later = segment.isReleased ? try await laterWords(segment) : nil
        let vouched = header.epoch < home.epoch ? try home.inbox.vouched(segment.scope, segment.site) : []
        return try await home.database.write { db in
            var store = try SQLiteScopeStore(db, scope: segment.scope)
            if segment.isReleased, try Self.mergedFromQuarantine(db, segment.number) != nil { return store.logEnd }
            let catalogue = try home.versions.wide(db, for: body, make: HubSchema.makeForeign)
            var merger = SegmentMerger(catalogue: catalogue, hub: home.keys.site, now: now, epoch: home.epoch)
            merger.later = later
            merger.vouched = vouched
            merger.isOtherVersion = header.catalogueHash != home.catalogue.hash
            merger.parentIncarnation = try Incarnations.parent(db, scope: segment.scope, of: segment.site)
            if segment.isReleased { try Meta.set(db, Self.releasedKey(segment.number), now) }
            merger.policies = try home.policies(db, scope: segment.scope, now: now)
            let asked = try WholeRowCases(db, segment.scope)
            let (report, touched) = try merger.merge(
                // Nobody can have seen more of this log than there is.
                body, header: header, cursor: min(cursor, store.logEnd), into: &store)
            _ = try FindingsRefresher(rules: home.rules).refresh(
                db, store: &store, touched: touched, formerKeys: report.formerKeys)
            try asked.note(moved: touched)
            try RuleCase.open(db, home.rules, report.apart, store: &store)
            try PolicyJournal.write(db, home, report.rulings, store: &store)
            let end = try ClaimKeeper(home: home).update(db, scope: segment.scope)
            KillPoint.reach("merge.write", in: home.directory)
            return end
        }
    }

    private func laterWords(_ released: ReceivedSegment) async throws -> LaterWords {
        var words = LaterWords()
        for number in try home.inbox.understood(released.scope, released.site, after: released.last) {
            // One that cannot be read is not merged either.
            if let (body, _) = try? await Self.decode(try home.inbox.segment(number), home) { words.add(body) }
        }
        return words
    }

    private static func releasedKey(_ number: Int64) -> String { "released \(number)" }

    /// A released segment lies below what is merged already: when it was merged is noted by itself.
    static func mergedFromQuarantine(_ db: Database, _ number: Int64) throws -> Int64? { try Meta.integer(db, releasedKey(number)) }

    /// Why a segment cannot be understood yet.
    private struct Unreadable: Error {
        let reason: String
    }

    private static func decode(_ segment: ReceivedSegment, _ home: HubHome) async throws -> (body: SegmentBody, header: SegmentHeader) {
        let site = try await home.database.read { db in
            try Row.fetchOne(db, sql: "SELECT signing_key, scope FROM zz_site WHERE site = ?", arguments: [segment.site.key])
                .map { (key: $0["signing_key"] as Data, isNode: $0["scope"] as Int64? != nil) }
        }
        guard let site else { throw Unreadable(reason: "the site \(segment.site) is not enrolled here") }
        do {
            let verified = try SegmentCodec.verify(segment.bytes, key: Curve25519.Signing.PublicKey(rawRepresentation: site.key))
            let header = verified.header
            let isOurs = header.catalogueHash == home.catalogue.hash
            let predictors = isOurs
                ? home.catalogue.predictors : try await home.database.read { try home.versions.predictors($0, for: header) }
            let decoded = try SegmentCodec.decode(verified, predictors: predictors)
            let body = site.isNode ? decoded.typed(at: segment.site) : decoded
            try check(body, home.catalogue, fromNode: site.isNode, isOurs: isOurs)
            // A hub of our version may hand on what it does not know itself.
            if isOurs, site.isNode { return (body, header) }
            guard try await home.database.read({ try home.versions.hasRoom($0, for: body) }) else {
                throw Unreadable(reason: "this hub has met more forms and fields of other catalogues than it takes")
            }
            return (body, header)
        } catch let error as CodecError {
            throw Unreadable(reason: error.description)
        }
    }

    /// What hubs alone write no node may send, and the store must be able to hold what it knows. Forms and fields of another
    /// catalogue pass: they are kept and handed on as they are (`ForeignFields`).
    private static func check(_ body: SegmentBody, _ catalogue: Catalogue, fromNode isNode: Bool, isOurs: Bool) throws {
        for changes in body.forms {
            if isNode, SystemForms.isSystem(changes.form), !SystemForms.isSchools(changes.form) {
                throw Unreadable(reason: "rows of form number \(changes.form) are written by hubs alone, this site is a node")
            }
            // A node hands on nothing: it writes what its own catalogue has.
            let isBroken = isNode && isOurs
            guard let form = catalogue[number: changes.form] else {
                guard isBroken else { continue }
                throw Unreadable(reason: "form number \(changes.form) is not in this hub's catalogue, which the segment names")
            }
            let known = form.allFields
            if isBroken, let field = changes.fields.first(where: { !known.contains($0) }) {
                throw Unreadable(reason: "field number \(field) of form \(form.id) is not in this hub's catalogue, which the segment names")
            }
            // A cell of a type that the column cannot hold would be refused by the store.
            for (field, column) in zip(changes.fields, changes.columns) {
                guard let type = form.fields.first(where: { $0.number == field })?.type else { continue }
                guard column.fits(type) else {
                    throw Unreadable(reason: "field \(field) of form \(form.id) holds values of another type")
                }
            }
        }
    }
}

extension SegmentBody {
    /// Whose word a value is follows from where it was typed: a node cannot say that it was at a hub.
    fileprivate func typed(at site: SiteID) -> SegmentBody {
        var body = self
        for index in body.stamps.indices { body.stamps[index].origin = site }
        return body
    }
}
