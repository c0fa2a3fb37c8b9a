// A small country in a temporary folder: a ministry, a province and nodes of schools, all of them the real node and hub code
// on real files, with lines inside the process.

import Crypto
import Foundation
import GRDB
import Hub
import Node
import Shared
import Synchronization

/// Everybody's clock: the real one, moved on when the story says that days go by.
final class WorldClock: Sendable {
    private let moved = Mutex(0)
    var days: Int { moved.withLock { $0 } }
    /// Seconds since 1970.
    var now: Int64 { Int64(Date().timeIntervalSince1970) + Int64(days) * 86_400 }
    func advance(days: Int) { moved.withLock { $0 += days } }
}

/// A node or hub of a rehearsal, by the name that its file uses: A1, A2 (school A), B1 (school B), province, ministry.
final class World {
    struct Tier {
        let home: HubHome
        let worker: MergeWorker
        let endpoint: HubEndpoint
    }

    let folder: String
    let catalogue: Catalogue
    /// Of those that work with another version.
    private var versions: [String: Catalogue]
    let clock = WorldClock()
    private(set) var nodes: [String: NodeHome] = [:]
    private(set) var hubs: [String: Tier] = [:]

    /// - Parameter copied: hubs of which a copy is taken before anyone joins.
    init(
        catalogue: Catalogue, nodes names: [String], policies: PolicyBook = PolicyBook(), versions: [String: Catalogue] = [:],
        copied: [String] = []
    ) async throws {
        self.catalogue = catalogue
        self.versions = versions
        folder = NSTemporaryDirectory() + "zzsync-rehearsal-\(UInt64.random(in: 0...UInt64.max))"
        for (name, level, code) in [("ministry", "ministry", "00"), ("province", "province", "41")] {
            open(
                name,
                try HubHome.create(
                    "\(folder)/\(name)", catalogue: version(name), identity: HubIdentity(level: level, code: code, name: name), policies: policies))
        }
        for name in copied { try backup(name) }
        try await joinHubs()
        for name in names { try await join(name) }
    }

    private func open(_ name: String, _ home: HubHome) {
        let worker = MergeWorker(home) { [clock] in clock.now }
        hubs[name] = Tier(home: home, worker: worker, endpoint: HubEndpoint(HubService(home, worker: worker)))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func joinHubs() async throws {
        let (province, ministry) = (hubs["province"]!, hubs["ministry"]!)
        let address = try HubAddress("http://127.0.0.1")
        let invite = try Invitations(ministry.home).hub(
            Invite.ChildHub(code: "41", level: "province", name: "province"), address: address, pin: nil, insecure: false)
        let client = HubClient(
            DirectTransport(endpoint: ministry.endpoint), keys: province.home.keys, hub: ministry.home.keys.publicKeys, label: "ministry")
        try await client.enrol(enrolment(invite, province.home.keys, "province")).enrolment?.save(province.home.directory)
    }

    /// The first letter of a node's name is its school.
    private func school(of name: String) -> SchoolInfo {
        let letter = String(name.prefix(1))
        let digit = letter.utf8.first! - UInt8(ascii: "A") + 1
        return SchoolInfo(code: "36419900\(digit < 10 ? "0" : "")\(digit)", name: "学校\(letter)", type: "vocational_continuing", region: "410102")
    }

    /// An invite of the province for the school of a node.
    func invite(_ name: String) throws -> Invite {
        try Invitations(hub("province")).school(school(of: name), address: try HubAddress("http://127.0.0.1"), pin: nil, insecure: false)
    }

    /// Makes a node, which joins the province.
    ///
    /// - Parameter invite: nil lets the province write one.
    func join(_ name: String, with invite: Invite? = nil) async throws {
        nodes[name] = try await makeNode(name, invite ?? self.invite(name))
    }

    private func makeNode(_ name: String, _ invite: Invite) async throws -> NodeHome {
        let node = try NodeHome.create("\(folder)/\(name)", catalogue: version(name), school: school(of: name))
        let province = hubs["province"]!
        let keys = SiteKeys()
        try keys.save(to: ParentLink.keysPath(node.directory))
        let client = HubClient(
            DirectTransport(endpoint: province.endpoint), keys: keys, hub: province.home.keys.publicKeys, label: "province")
        let reply = try await client.enrol(enrolment(invite, keys, name))
        guard let scope = reply.scope.flatMap({ ScopeID($0) }) else {
            throw Failure(.damaged, "The province gave \(name) no scope.", next: "Report this as a bug.")
        }
        try reply.enrolment?.save(node.directory)
        try await node.adopt(scope)
        return node
    }

    private func enrolment(_ invite: Invite, _ keys: SiteKeys, _ label: String) -> EnrolRequest {
        EnrolRequest(
            token: invite.token, signingKey: keys.publicKeys.signingBase64, agreementKey: keys.publicKeys.agreementBase64,
            label: label)
    }

    // MARK: what happens

    func node(_ name: String) throws(Failure) -> NodeHome {
        guard let node = nodes[name] else {
            throw Failure(.usage, "There is no node '\(name)' in this rehearsal.", next: "Nodes are \(nodes.keys.sorted().joined(separator: ", ")).")
        }
        return node
    }

    func hub(_ name: String) throws(Failure) -> HubHome {
        guard let tier = hubs[name] else {
            throw Failure(.usage, "There is no hub '\(name)' in this rehearsal.", next: "Hubs are province and ministry.")
        }
        return tier.home
    }

    /// Sends, lets the parent merge, fetches.
    ///
    /// - Returns: rows that moved in either direction.
    @discardableResult func sync(_ name: String) async throws -> Int {
        let sent = try await push(name)
        return sent + (try await session(name).run().pulledRows)
    }

    /// Sends and lets the parent merge.
    @discardableResult func push(_ name: String) async throws -> Int {
        let report = try await session(name).run(pull: false)
        try await hubs[name == "province" ? "ministry" : "province"]!.worker.drain()
        return report.pushedRows
    }

    func fetch(_ name: String) async throws {
        _ = try await session(name).run(push: false)
    }

    /// With the keys that lie in the home now: a restored one goes on with others.
    func session(_ name: String) throws -> SyncSession {
        let parent = hubs[name == "province" ? "ministry" : "province"]!
        let replica: any ChildReplica
        if name == "province" {
            let province = hubs["province"]!.home
            try province.linkAllScopes()
            replica = HubReplica(home: province, keys: try province.uplinkKeys())
        } else {
            let node = try node(name)
            let path = ParentLink.keysPath(node.directory)
            replica = NodeReplica(home: node, keys: try Incarnation.keys(node.database, home: node.directory, path: path))
        }
        let client = HubClient(
            DirectTransport(endpoint: parent.endpoint), keys: replica.keys, hub: parent.home.keys.publicKeys, label: "parent of \(name)")
        return SyncSession(replica: replica, client: client, hub: parent.home.keys.publicKeys) { [clock] in clock.now }
    }

    // MARK: copies

    /// Copies the home as it is now; `restore` puts this copy back, as often as it is asked to.
    func backup(_ name: String) throws { try HomeCopy.take(try directory(name), to: copy(name)) }

    /// Puts the last copy back, whole or a part of it, as an operator would with the program stopped.
    func restore(_ name: String, _ part: HomeCopy.Part) throws {
        let directory = try directory(name)
        guard FileManager.default.fileExists(atPath: copy(name)) else {
            throw Failure(.usage, "There is no copy of \(name).", next: "Let it be copied first, with `backup`.")
        }
        try close(name)
        try HomeCopy.putBack(copy(name), to: directory, part)
        try reopen(name)
    }

    private func reopen(_ name: String, _ mutants: MergeMutant = []) throws {
        let directory = try directory(name)
        if hubs[name] != nil {
            open(name, try HubHome.open(directory, catalogue: version(name), mutants: mutants))
        } else {
            nodes[name] = try NodeHome.open(directory, catalogue: version(name), mutants: mutants).0
        }
    }

    // MARK: versions of the catalogue

    /// What a node or hub works with.
    func version(_ name: String) -> Catalogue { versions[name] ?? catalogue }

    /// A form as a node or hub holds it, with foreign columns.
    func form(_ number: FormNumber, at name: String) throws -> Form? {
        if let node = nodes[name] { return try node.database.read { try node.versions.wide($0)[number: number] } }
        let hub = try hub(name)
        return try hub.database.read { try hub.versions.wide($0)[number: number] }
    }

    /// Stops the program and starts it again with another version.
    ///
    /// - Parameter mutants: the tests' mistakes.
    func upgrade(_ name: String, to version: Catalogue, mutants: MergeMutant = []) throws {
        try close(name)
        versions[name] = version
        try reopen(name, mutants)
    }

    /// Copies a node's home to a second machine; both go on.
    func clone(_ name: String, as twin: String) throws {
        guard nodes[twin] == nil, twin.first == name.first else {
            throw Failure(.usage, "'\(twin)' is no name for a copy of \(name).", next: "Choose one that is free, of the same school.")
        }
        try HomeCopy.take(try node(name).directory, to: "\(folder)/\(twin)")
        versions[twin] = versions[name]
        nodes[twin] = try NodeHome.open("\(folder)/\(twin)", catalogue: version(twin)).0
    }

    private func copy(_ name: String) -> String { "\(folder)/\(name).copy" }

    private func directory(_ name: String) throws(Failure) -> String {
        if let hub = hubs[name] { return hub.home.directory }
        return try node(name).directory
    }

    private func close(_ name: String) throws {
        guard let hub = hubs[name]?.home else { return try node(name).database.close() }
        try hub.database.close()
        try hub.inbox.close()
    }

    /// Everybody exchanges with everybody until nothing moves.
    func settle() async throws {
        for _ in 0..<Self.settleRounds {
            var moved = 0
            for name in nodes.keys.sorted() + ["province"] { moved += try await sync(name) }
            if moved == 0 { return }
        }
        throw Failure(.damaged, "After \(Self.settleRounds) rounds of syncs something still moves.", next: "Report this as a bug.")
    }
    /// Three tiers need four: up, a verdict down, an answer to it, and a quiet one.
    private static let settleRounds = 10

    /// Living rows of a form, of all schools at a hub.
    func rows(_ name: String, _ form: Form) throws -> Int {
        if let node = nodes[name] { return try node.digests()[form.id]?.rows ?? 0 }
        let hub = try hub(name)
        return try hub.schools().reduce(0) { $0 + (try hub.digests(school: $1.code)[form.id]?.rows ?? 0) }
    }

    /// The code of a school by its letter.
    func schoolCode(_ letter: String) throws -> String {
        guard let code = try nodes.first(where: { $0.key.hasPrefix(letter) })?.value.school()?.code else {
            throw Failure(.usage, "There is no school '\(letter)' in this rehearsal.", next: "Name a node of it in nodes.")
        }
        return code
    }

    /// The digest of every form of a school at every replica that holds it; one entry when they agree.
    func digests(school letter: String) throws -> [String: String] {
        let code = try schoolCode(letter)
        var digests: [String: String] = [:]
        for (name, node) in nodes where name.hasPrefix(letter) { digests[name] = line(try node.digests(), version(name)) }
        for (name, tier) in hubs { digests[name] = line(try tier.home.digests(school: code), version(name)) }
        return digests
    }

    /// Forms by number, for a form may be foreign to some; one that is empty may be unheard of to others.
    private func line(_ digests: [String: (digest: String, rows: Int)], _ version: Catalogue) -> String {
        digests.filter { $0.value.rows > 0 }.map { (Form.number(of: $0.key, in: version), $0.value.digest) }
            .sorted { $0.0 < $1.0 }.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
    }
}
