// What is done at desks beside single decisions, and how often it was.

/// Every kind, in the order of the table that a run prints.
enum Deed: String, CaseIterable, Sendable {
    case bulk = "cases decided at once"
    case bulkUndoneAtOnce = "such a bulk taken back at once"
    case bulkUndone = "such a bulk taken back later"
    case returned = "case returned with a question"
    case answered = "question answered by a school"
    case answerTaken = "case decided by such an answer"
    case ownerAdded = "row added at a hub"
    case ownerChanged = "row changed at a hub"
    case ownerImported = "workbook imported at a hub"
    case ownerTwinMerged = "equal rows of it merged by the system"
    case requestGranted = "change request granted"
    case requestAgreed = "change request closed by agreement"
    case monthMoved = "month moved that a rule compares"
    case brokenTogether = "rule broken by two together, and asked about"
}

extension Tallies {
    mutating func count(_ deed: Deed, _ times: Int = 1) { deeds[deed, default: 0] += times }

    /// Kinds that never happened.
    var missing: [String] { Deed.allCases.filter { deeds[$0] ?? 0 == 0 }.map(\.rawValue) }
}
