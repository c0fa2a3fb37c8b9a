// A simulated country: a ministry, a province, sometimes a city's hub, schools with their nodes, all of them the real node and
// hub code on real files; what happens to them and when is drawn from one seed.

import Crypto
import Foundation
import GRDB
import Hub
import Node
import Shared

/// The shape of a country and what is done in it.
struct Plan: Sendable {
    var seed: UInt64
    var schools = 5
    var nodes = 8
    var hasCity = false
    var days = 6.0
    var writes = 300
    var line = LineQuality.bad
    /// Hubs stand in computing centres.
    var hasGoodHubLines = false
    /// Crashes, full disks and wrong clocks happen.
    var hasFaults = true
    /// Nodes are put back from copies of their homes, and cloned.
    var hasCopies = false
    /// Some sites work with an older catalogue, and go on with the newer one while the days go by.
    var hasVersions = false
    /// So are hubs put back, and some of their children come late.
    var hasHubCopies = false
    /// Hubs write too, decide in bulk and ask schools; some fields are decided by their owner.
    var hasDeskWork = false
    /// Only what the model of the merge rules knows: no key is typed twice, no draft is written and no decision is taken back.
    var isModelled = false
    /// Milliseconds at most between an upload and its merge.
    var mergeDelay = 900_000

    /// In some countries where hubs are put back the first copy of one is older than some of its nodes: before which of them it is taken.
    func earlyCopy(of hubs: [String]) -> (hub: String, node: Int)? {
        var dice = Dice(seed: seed ^ 0xEA21)
        guard hasHubCopies, dice.chance(0.5) else { return nil }
        return (dice.pick(hubs)!, dice.roll(0...nodes - 1))
    }

    /// What a seed stands for in the test bed.
    static func bed(seed: UInt64) -> Plan {
        var dice = Dice(seed: seed ^ 0x5EED)
        var plan = Plan(seed: seed)
        plan.schools = dice.roll(5...6)
        plan.nodes = plan.schools + dice.roll(3...4)
        plan.hasCity = dice.chance(0.5)
        plan.hasCopies = dice.chance(0.4)
        plan.hasVersions = dice.chance(0.4)
        plan.hasHubCopies = !plan.hasVersions && dice.chance(0.7)
        plan.hasDeskWork = dice.chance(0.6)
        if plan.hasVersions { plan.hasHubCopies = dice.chance(0.7) }
        return plan
    }
}

@SimulationActor final class Country {
    let plan: Plan
    /// What the oracle counts cells by: all forms and fields, with groups as finely cut as they are anywhere.
    let catalogue: Catalogue
    /// The newest that anybody works with, and what some still work with; all three are the same where the plan has no versions.
    let newestCatalogue: Catalogue
    let olderCatalogue: Catalogue
    let folder: String
    let scheduler = Scheduler()
    let oracle: Oracle
    var dice: Dice
    var faults = FaultCounts()
    var trace: Chronicle
    /// Parents before their children.
    private(set) var sites: [Site] = []
    private(set) var scopes: [ScopeID] = []
    /// The line as it is now: good while the country is made and while it comes to rest.
    var line = LineQuality.good
    var witness: (any Witness)?
    /// Nothing starts itself again once this is set.
    var isResting = false
    var failures: [String] = []
    var tallies = Tallies()
    /// Messages sent so far, and the newest that each hub was reached by: how reordering is seen.
    var messages = 0
    var newestMessage: [Int: Int] = [:]
    var load = Load()
    /// Hub → what it showed or asked about at the last look.
    var memories: [String: [CellKey: Set<String>]] = [:]
    /// What stood in journals that went with the disks of hubs.
    var lostJournal = Journal()

    /// What clerks have at hand.
    let entries: Entries
    /// Form → keys that were typed lately, anywhere.
    var recentKeys: [FormNumber: [[Value]]] = [:]
    /// Months since the year 0 that somebody has written.
    var usedMonths: Set<Int> = []
    var lastBook: Workbook?
    var backups: [String: HomeBackup] = [:]
    /// Hub → its last bulk that stands.
    var bulks: [String: Bulk] = [:]
    /// Decisions on their way down.
    var descents: [Descent] = []
    /// Hub and case → the turn in which it went back to its school.
    var questions: [String: Int] = [:]
    /// Records of questions that somebody has answered.
    var answered: Set<String> = []
    var books = 0

    init(_ plan: Plan, catalogue: Catalogue, tell: (@Sendable (String) -> Void)? = nil) throws {
        self.plan = plan
        let catalogue = plan.hasDeskWork ? try Self.withOwners(catalogue) : catalogue
        self.catalogue = plan.hasVersions ? try Self.finest(catalogue) : catalogue
        newestCatalogue = plan.hasVersions ? try Self.newer(self.catalogue) : catalogue
        olderCatalogue = plan.hasVersions ? try Self.older(catalogue) : catalogue
        entries = Entries(catalogue: self.catalogue)
        oracle = Oracle(scheduler)
        dice = Dice(seed: plan.seed)
        trace = Chronicle(tell: tell)
        // Memory where there is some: what is tested is what the files hold, not the disk under them.
        let shared = "/dev/shm"
        let base = FileManager.default.isWritableFile(atPath: shared) ? shared : NSTemporaryDirectory()
        folder = "\(base)/zzsync-simulation-\(getpid())-\(plan.seed)-\(UInt64.random(in: 0...UInt64.max))"
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var hubs: [Site] { sites.filter(\.isHub) }
    var nodes: [Site] { sites.filter { !$0.isHub } }

    func note(_ text: @autoclosure () -> String) { trace.note(at: scheduler.now, text()) }

    // MARK: making it

    func make() async throws {
        let ministry = try await hub("ministry", "ministry", "00", parent: nil)
        let province = try await hub("province", "province", "41", parent: ministry)
        let city = plan.hasCity ? try await hub("city", "city", "4101", parent: province) : nil
        for school in 0..<plan.schools { scopes.append(ScopeID(Dice.id(plan.seed, school))) }
        let early = plan.earlyCopy(of: city == nil ? ["province"] : ["province", "city"])
        for number in 0..<plan.nodes {
            let school = number % plan.schools
            let home = school < 2 ? city ?? province : province
            if let early, early.node == number { try copy(early.hub == "city" ? city! : province) }
            try await node("\(Self.letters(school))\(number / plan.schools + 1)", school: school, hub: home)
        }
        scheduler.afterTurn = { [unowned self] in self.buryTheDead() }
    }

    static func letters(_ school: Int) -> String {
        let letter = String(UnicodeScalar(UInt8(ascii: "A") + UInt8(school % 26)))
        return school < 26 ? letter : letters(school / 26 - 1) + letter
    }

    /// Most clocks are right to the second, some are ten years off.
    private func skew() -> Int64 {
        guard plan.hasFaults, dice.chance(0.3) else { return Int64(dice.roll(-90...90)) }
        faults.count(.clockOff)
        return Int64(dice.pick([-12, -10, -3, 2, 10, 11])!) * 31_556_952
    }

    private func hub(_ name: String, _ level: String, _ code: String, parent: Site?) async throws -> Site {
        let site = Site(
            name: name, number: sites.count + 1, parent: parent, school: nil, skew: skew(), folder: folder, seed: plan.seed)
        let identity = HubIdentity(level: level, code: code, name: name)
        try await site.create(drawVersion(), identity: identity, school: nil, clock: scheduler.clock)
        sites.append(site)
        if let parent {
            let invite = try Invitations(parent.hub!.home).hub(
                Invite.ChildHub(code: code, level: level, name: name), address: try address(), pin: nil, insecure: false, days: 3_650)
            _ = try await enrol(site, invite)
        }
        return site
    }

    /// Nobody connects to it: the lines lie inside the process.
    private func address() throws -> HubAddress { try HubAddress("http://127.0.0.1") }

    private func node(_ name: String, school: Int, hub: Site) async throws {
        let info = SchoolInfo(
            code: schoolCode(school), name: "学校\(Self.letters(school))",
            type: "vocational_continuing", region: "410102")
        let site = Site(
            name: name, number: sites.count + 1, parent: hub, school: school, skew: skew(), folder: folder, seed: plan.seed)
        try await site.create(drawVersion(), identity: nil, school: info, clock: scheduler.clock)
        sites.append(site)
        // The scope is random, but this country's randomness is its seed's.
        let scope = scopes[school]
        try await hub.hub!.home.database.write { db in
            try db.execute(
                sql: "INSERT OR IGNORE INTO zz_scope (scope, school) VALUES (?, ?)",
                arguments: [scope.key, String(decoding: WireJSON.encode(info), as: UTF8.self)])
        }
        let invite = try Invitations(hub.hub!.home).school(info, address: try address(), pin: nil, insecure: false, days: 3_650)
        _ = try await enrol(site, invite)
        try await site.node!.adopt(scope)
    }

    /// A node that is not up yet, beside another of its school.
    func addClone(of site: Site) -> Site {
        let clone = Site(
            name: site.name + "'", number: sites.count + 1, parent: site.parent, school: site.school, skew: site.skew, folder: folder,
            seed: plan.seed, cloneOf: site)
        clone.catalogue = site.catalogue
        sites.append(clone)
        return clone
    }

    private func enrol(_ site: Site, _ invite: Invite) async throws -> EnrolReply {
        let parent = site.parent!
        let client = HubClient(
            DirectTransport(endpoint: parent.hub!.endpoint), keys: site.keys, hub: parent.keys.publicKeys, label: parent.name)
        let reply = try await client.enrol(site.enrolment(invite.token))
        try reply.enrolment?.save(site.fuse.directory)
        return reply
    }

    // MARK: processes that end

    /// Between two turns: whoever's fuse has blown is down, and comes up again after a while.
    private func buryTheDead() {
        for site in sites where site.isUp && site.fuse.isBlown {
            let point = site.fuse.blownAt!
            if let flaw = site.fuse.flaw { failures.append("seed \(plan.seed): \(flaw)") }
            if point == Self.switching { takeVersion(site) }
            if point != "put back", point != Self.switching {
                faults.countCrash(at: point, isHub: site.isHub)
                note("\(site.name) ends at \(point)")
            }
            site.fall()
            scheduler.start(after: isResting ? 1 : dice.roll(60_000...6 * 3_600_000)) { await self.rise(site) }
        }
    }

    func rise(_ site: Site) async {
        guard !site.isUp else { return }
        do {
            if site.isSwitching, !isResting, dice.chance(0.4) { site.fuse.arm(dice.pick(Fault.switchPoints)!, count: 1) }
            site.isSwitching = false
            if site.isHub, site.isPutBack, !isResting, dice.chance(0.4) { site.fuse.arm(dice.pick(Fault.epochPoints)!, count: 1) }
            try await site.open(clock: scheduler.clock)
            try site.recount()
            note("\(site.name) is up again")
            if site.isCopied, !isResting, dice.chance(0.3) { site.fuse.arm("incarnation.commit", count: 1) }
            if site.isHub { drain(site, after: dice.roll(1_000...60_000)) }
        } catch {
            failures.append("\(site.name) does not open again: \(error)")
        }
    }
}

extension Dice {
    /// A number that belongs to (seed, index), whatever else was drawn.
    static func id(_ seed: UInt64, _ index: Int) -> UInt64 {
        var dice = Dice(seed: seed &* 0x9E37 &+ UInt64(index))
        return dice.next() >> 1 | 1
    }
}

/// What happened, as lines; their hash is the same for the same seed.
struct Chronicle {
    private var hash = SHA256()
    private let tell: (@Sendable (String) -> Void)?
    init(tell: (@Sendable (String) -> Void)?) { self.tell = tell }

    mutating func note(at milliseconds: Int, _ text: String) {
        hash.update(data: Data("\(milliseconds) \(text)\n".utf8))
        guard let tell else { return }
        let minutes = milliseconds / 60_000
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        tell("day \(minutes / 1440 + 1) \(two(minutes / 60 % 24)):\(two(minutes % 60))  \(text)")
    }

    /// Sixteen hexadecimal digits.
    var digest: String { hash.finalize().prefix(8).map { hexByte($0) }.joined() }
}

/// Processor time of this process.
enum CPU {
    static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// What a run counts beside its faults.
struct Tallies: Sendable {
    var writes = 0
    var imports = 0
    var deletes = 0
    var syncs = 0
    var brokenSyncs = 0
    var decisions = 0
    var verdicts = 0
    var undone = 0
    var cases: [String: Int] = [:]
    /// By kind.
    var needless: [String: Int] = [:]
    var deeds: [Deed: Int] = [:]

    var falseCases: Int { needless.values.reduce(0, +) }
    var allCases: Int { cases.values.reduce(0, +) }
    static func += (l: inout Self, r: Self) {
        l.writes += r.writes
        l.imports += r.imports
        l.deletes += r.deletes
        l.syncs += r.syncs
        l.brokenSyncs += r.brokenSyncs
        l.decisions += r.decisions
        l.undone += r.undone
        l.cases.merge(r.cases, uniquingKeysWith: +)
        l.needless.merge(r.needless, uniquingKeysWith: +)
        l.deeds.merge(r.deeds, uniquingKeysWith: +)
    }
}
