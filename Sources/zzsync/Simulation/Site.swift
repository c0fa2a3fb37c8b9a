// One replica of a simulated country: its files outlive its processes.

import Foundation
import GRDB
import Hub
import Node
import Shared

@SimulationActor final class Site {
    struct Tier {
        let home: HubHome
        let worker: MergeWorker
        let endpoint: HubEndpoint
    }

    let name: String
    /// Its place among all sites: seeds its keys and ids.
    let number: Int
    /// Nil at the ministry.
    let parent: Site?
    /// 1 is the ministry's.
    var tier: Int { 1 + (parent?.tier ?? 0) }
    /// The school of a node; nil for a hub.
    let school: Int?
    /// By how many seconds its clock is wrong.
    let skew: Int64
    /// Its first incarnation's.
    let keys: SiteKeys
    /// It has started as the copy of another's home.
    let isClone: Bool
    /// Its home was put back once, or is one of two: its incarnations change.
    var isCopied = false
    private var incarnations = 0
    private(set) var fuse: Fuse
    private let folder: String
    private let seed: UInt64
    private var processes = 0

    /// What its next process works with.
    var catalogue: Catalogue!
    /// It has worked with another one before.
    var hasSwitched = false
    /// Its next process takes another one.
    var isSwitching = false

    /// Nil while the process is down.
    private(set) var node: NodeHome?
    private(set) var hub: Tier?
    /// One sync at a time, as the home's lock has it.
    var isSyncing = false
    var isDraining = false
    /// Its disk takes no new pages.
    private(set) var isDiskFull = false
    /// Its spool takes no bytes.
    var isSpoolFull = false
    /// Its sync may end with an answer that it cannot believe.
    var metCutAnswer = false
    /// Processor time when its sync was last given its turn.
    var processorMark = 0.0
    /// The newest case that was counted.
    var newestCase: Int64 = 0
    /// It stays away until then.
    var awayUntil = 0
    /// It is a hub of which the children may know more than it does.
    var isPutBack = false

    init(name: String, number: Int, parent: Site?, school: Int?, skew: Int64, folder: String, seed: UInt64, cloneOf original: Site? = nil) {
        (self.name, self.number, self.parent, self.school, self.skew) = (name, number, parent, school, skew)
        (self.folder, self.seed) = (folder, seed)
        keys = original?.keys ?? SiteKeys(seed: "\(name) of \(seed)")
        isClone = original != nil
        fuse = Fuse(directory: "\(folder)/\(name)-0", heir: "\(folder)/\(name)-1", seed: seed &+ UInt64(number))
    }

    var isHub: Bool { school == nil }
    var isUp: Bool { node != nil || hub != nil }
    var database: DatabasePool { node?.database ?? hub!.home.database }

    func clock(_ clock: VirtualClock) -> @Sendable () -> Int64 {
        let skew = skew
        return { clock.seconds(skew: skew) }
    }

    // MARK: its process

    func create(_ catalogue: Catalogue, identity: HubIdentity?, school: SchoolInfo?, clock: VirtualClock) async throws {
        self.catalogue = catalogue
        try FileManager.default.createDirectory(atPath: fuse.directory, withIntermediateDirectories: true)
        try keys.save(to: ParentLink.keysPath(fuse.directory))
        if let identity {
            hub = tier(try HubHome.create(fuse.directory, catalogue: catalogue, identity: identity, now: self.clock(clock), idSeed: nextSeed()), clock)
        } else {
            node = try NodeHome.create(
                fuse.directory, catalogue: catalogue, school: school!, now: self.clock(clock), idPrefix: nextPrefix())
        }
    }

    /// Opens what its last process left on disk.
    func open(clock: VirtualClock) async throws {
        precondition(!isUp, "\(name) runs already")
        if isHub {
            hub = tier(try HubHome.open(fuse.directory, catalogue: catalogue, now: self.clock(clock), idSeed: nextSeed()), clock)
            try await hub!.worker.catchUp()
        } else {
            node = try NodeHome.open(fuse.directory, catalogue: catalogue, now: self.clock(clock), idPrefix: nextPrefix()).0
        }
    }

    /// What the machine would draw: of a row's id one can tell who made it.
    private func nextPrefix() -> Int64 { Int64(number * 1_000 + processes) }

    private func nextSeed() -> UInt64 { UInt64(nextPrefix()) &* 0xD6E8_FEB8_6659_FD93 }

    private func tier(_ home: HubHome, _ clock: VirtualClock) -> Tier {
        let now = self.clock(clock)
        let worker = MergeWorker(home, now: now)
        return Tier(home: home, worker: worker, endpoint: HubEndpoint(HubService(home, worker: worker, now: now)))
    }

    /// Its process is dead: what it still does happens to files that nobody reads.
    func fall() {
        (node, hub) = (nil, nil)
        (isSyncing, isDraining, isDiskFull, isSpoolFull) = (false, false, false, false)
        processes += 1
        fuse = Fuse(
            directory: fuse.heir, heir: "\(folder)/\(name)-\(processes + 1)",
            seed: seed &+ UInt64(number) &+ UInt64(processes) << 32)
    }

    /// Cases that went with a disk are numbered again.
    func recount() throws {
        guard isHub else { return }
        newestCase = min(newestCase, try database.read { try Int64.fetchOne($0, sql: "SELECT coalesce(max(number), 0) FROM zz_case")! })
    }

    // MARK: its disk

    /// From here on SQLite refuses every new page with SQLITE_FULL, or takes them again.
    func setDiskFull(_ full: Bool) throws {
        isDiskFull = full
        try database.writeWithoutTransaction { db in
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count")!
            _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(full ? pages : 1_073_741_823)")
        }
    }

    // MARK: its way up

    func session(_ transport: any Transport, clock: VirtualClock) throws -> SyncSession {
        let keys = try uplinkKeys()
        if isCopied { try foreseeKeys() }
        let replica: any ChildReplica = isHub ? HubReplica(home: hub!.home, keys: keys) : NodeReplica(home: node!, keys: keys)
        if isHub { try hub!.home.linkAllScopes() }
        let client = HubClient(transport, keys: keys, hub: parent!.keys.publicKeys, label: parent!.name)
        return SyncSession(replica: replica, client: client, hub: parent!.keys.publicKeys, now: self.clock(clock))
    }

    /// Of the incarnation that its home belongs to now.
    func uplinkKeys() throws -> SiteKeys {
        if let home = hub?.home { return try home.uplinkKeys() }
        return try Incarnation.keys(node!.database, home: fuse.directory, path: ParentLink.keysPath(fuse.directory))
    }

    /// Where new incarnations' keys go; those that its database has taken already stand there then.
    func uplinkKeysPath() throws -> String {
        _ = try uplinkKeys()
        return hub?.home.uplinkKeysPath ?? ParentLink.keysPath(fuse.directory)
    }

    /// The keys of its next incarnation, should it need one: from the seed, where the machine would draw them.
    private func foreseeKeys() throws {
        let path = Incarnation.next(try uplinkKeysPath())
        guard !FileManager.default.fileExists(atPath: path) else { return }
        incarnations += 1
        let keys = SiteKeys(seed: "\(name), incarnation \(incarnations), of \(seed)")
        try keys.save(to: path)
    }

    func enrolment(_ token: String) -> EnrolRequest {
        EnrolRequest(
            token: token, signingKey: keys.publicKeys.signingBase64, agreementKey: keys.publicKeys.agreementBase64, label: name)
    }
}
