// What can go wrong in a simulated country, and how often it did.

/// Every kind of fault, in the order of the table that a run prints.
enum Fault: String, CaseIterable, Sendable {
    case requestLost = "request lost"
    case answerLost = "answer lost"
    case doubled = "message doubled"
    case delayed = "message delayed"
    case reordered = "messages of two sites reordered"
    case uploadCut = "upload cut"
    case uploadResumed = "upload resumed"
    case answerCut = "answer cut"
    case parentDown = "parent was down"
    case nodeDiskFull = "write refused by a node's disk"
    case hubDiskFull = "write refused by a hub's disk"
    case spoolFull = "upload refused by a hub's disk"
    case clockOff = "clock off by years"
    case quarantined = "segment not understood"
    case released = "segment understood later"
    case crash = "process crashed"
    case putBack = "node put back from a copy"
    case hubPutBack = "hub put back from a copy"
    case cameLate = "child of such a hub came late"
    case childForgotten = "hub put back to before a child had joined"
    case cloned = "node cloned"
    case olderVersion = "site of an older catalogue"
    case foreign = "home with foreign fields or forms"
    case jointCase = "case about fields that others hold apart"
    case switched = "home switched to a newer catalogue"
    case nodePutBackOlder = "node put back to before its switch"
    case hubPutBackOlder = "hub put back to before its switch"
    case programPutBack = "older program put back with its home"
}

extension Fault {
    /// Every place at which a process of this kind may end: both sides of each commit that another commit or another machine
    /// relies on, and "anytime", between two messages.
    static let nodePoints = [
        "anytime", "entry.write", "entry.commit", "import.stage", "import.write", "import.commit", "seal.write", "seal.commit",
        "push.sent", "pull.page", "incarnation.commit",
    ]
    static let hubPoints = [
        "anytime", "push.part", "push.stored", "merge.write", "merge.commit", "merge.mark", "decide.write", "decide.commit",
        "forward.write", "forward.commit", "forward.sent", "forward.page",
    ]
    /// Of the hubs' own writes; armed where they are made.
    static let ownerPoints = ["put.write", "put.commit"]
    /// Of homes that take another version of the catalogue; armed when they do.
    static let switchPoints = ["switch.write", "switch.commit"]
    /// Of a hub that begins a new epoch and takes back what its children have, and of those children; armed when it is put back.
    static let epochPoints = ["epoch.commit", "return.commit"]
    static let agreementPoints = ["return.aside", "agree.commit"]
    /// Inside a transaction: what was being written is not there afterwards.
    static func isBeforeCommit(_ point: String) -> Bool { point.hasSuffix(".write") }
}

/// How often messages go wrong, as shares of all messages.
struct LineQuality: Sendable {
    var requestLost = 0.0
    var answerLost = 0.0
    var doubled = 0.0
    var uploadCut = 0.0
    var answerCut = 0.0
    var delayed = 0.0
    /// Milliseconds that a message takes, and one that is delayed.
    var latency = 20...400
    var delay = 60_000...4 * 3_600_000

    static let good = LineQuality()
    static let bad = LineQuality(requestLost: 0.05, answerLost: 0.05, doubled: 0.05, uploadCut: 0.12, answerCut: 0.03, delayed: 0.06)
    /// What a planner has to expect of schools behind bad networks.
    static let rural = LineQuality(
        requestLost: 0.01, answerLost: 0.01, doubled: 0.001, uploadCut: 0.02, answerCut: 0.002, delayed: 0.01, delay: 10_000...600_000)
}

/// Counts of one run or of many.
struct FaultCounts: Sendable {
    private(set) var counts: [Fault: Int] = [:]
    /// By kill point.
    private(set) var crashes: [String: Int] = [:]

    subscript(fault: Fault) -> Int { counts[fault, default: 0] }
    mutating func count(_ fault: Fault) { counts[fault, default: 0] += 1 }
    mutating func countCrash(at point: String, isHub: Bool) {
        count(.crash)
        crashes[point == "anytime" ? (isHub ? "hub, anytime" : "node, anytime") : point, default: 0] += 1
    }
    static func += (l: inout Self, r: Self) {
        l.counts.merge(r.counts, uniquingKeysWith: +)
        l.crashes.merge(r.crashes, uniquingKeysWith: +)
    }

    /// The places of `crashes`.
    static let points =
        ["node, anytime", "hub, anytime"]
        + [Fault.nodePoints, Fault.hubPoints, Fault.ownerPoints, Fault.switchPoints, Fault.epochPoints, Fault.agreementPoints]
        .joined().filter { $0 != "anytime" }

    /// Kinds and kill points that never happened.
    var missing: [String] {
        Fault.allCases.filter { self[$0] == 0 }.map(\.rawValue) + Self.points.filter { crashes[$0] == nil }.map { "crash at \($0)" }
    }
}
