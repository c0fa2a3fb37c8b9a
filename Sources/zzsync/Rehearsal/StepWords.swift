// What may stand in a step of a case file: each verb's keys, who may do it, how large numbers may be. Said before anything is played, for
// a key that a verb does not read would be believed and do nothing.

struct StepWords: Sendable {
    /// Whose hand does it.
    enum Actor { case node, hub, child, anyone, everyone }

    let actor: Actor
    /// Keys without which the step says nothing; of each list one.
    var needed: [[String]] = []
    /// Keys that it may have beside `needed`, who, do and note.
    var optional: [String] = []

    var keys: [String] { ["who", "do", "note"] + needed.flatMap { $0 } + optional }

    static let of: [String: StepWords] = [
        "put": StepWords(actor: .anyone, needed: [["set"]], optional: ["row", "as", "source", "refused"]),
        "add": StepWords(actor: .anyone, needed: [["form"]], optional: ["alias", "set", "as", "school", "source", "refused"]),
        "delete": StepWords(actor: .anyone, optional: ["row", "as", "source", "refused"]),
        "sync": StepWords(actor: .child, optional: ["refused"]),
        "push": StepWords(actor: .child, optional: ["refused"]),
        "fetch": StepWords(actor: .child, optional: ["refused"]),
        "settle": StepWords(actor: .everyone),
        "clock": StepWords(actor: .node, needed: [["years"]]),
        "wait": StepWords(actor: .everyone, needed: [["days"]]),
        "take": StepWords(actor: .hub, needed: [["take", "life"]], optional: ["row", "reason", "explain", "version", "as", "refused"]),
        "set": StepWords(actor: .hub, needed: [["set"]], optional: ["row", "reason", "explain", "version", "as", "refused"]),
        "merge": StepWords(actor: .hub, optional: ["row", "reason", "explain", "version", "as", "refused"]),
        "distinct": StepWords(actor: .hub, optional: ["row", "reason", "version", "as", "refused"]),
        "return": StepWords(actor: .hub, optional: ["row", "reason", "version", "as", "refused"]),
        "bulk": StepWords(actor: .hub, needed: [["filter"], ["side"]], optional: ["reason", "explain", "as", "decided", "left", "refused"]),
        "undo": StepWords(actor: .hub, optional: ["reason", "as", "refused"]),
        "backup": StepWords(actor: .anyone),
        "restore": StepWords(actor: .anyone, optional: ["what", "refused"]),
        "clone": StepWords(actor: .node, needed: [["alias"]]),
        "upgrade": StepWords(actor: .anyone, optional: ["to", "refused"]),
        "expect": StepWords(actor: .anyone, needed: [expectations], optional: ["row", "form"]),
    ]

    private static let expectations = [
        "values", "exists", "rows", "cases", "case_kind", "candidates", "findings", "rules", "history", "author", "journal", "decisions",
        "answered", "requests", "disputed", "agree",
    ]

    /// Numbers beyond these mean nothing, and some cannot be reckoned with.
    static let ranges: [String: ClosedRange<Int>] = Dictionary(
        uniqueKeysWithValues: [("years", -100...100), ("days", 1...3_660), ("version", 1...1_000_000)]
            + ["cases", "findings", "journal", "answered", "disputed", "rows", "decided", "left"].map { ($0, 0...1_000_000) })

    static let allowed: [String: [String]] = [
        "life": ["alive", "dead"], "what": HomeCopy.Part.allCases.map(\.rawValue),
        "case_kind": ["cell", "life", "twins", "owner", "rule", "clone"],
    ]
}
