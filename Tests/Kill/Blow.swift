/// Who is killed, and at which point of the program; the point "random" is a moment that the seed gives.
struct Blow: CustomStringConvertible {
    enum Victim: String {
        case node, province, ministry
        /// The command `hub forward`, and a hub that forwards by itself.
        case forward, forwarder
    }
    let victim: Victim
    let point: String
    var description: String { "\(point) at \(victim.rawValue)" }
    init(_ victim: Victim, _ point: String) {
        self.victim = victim
        self.point = point
    }

    static let everywhere: [Blow] = [
        Blow(.node, "import.stage"), Blow(.node, "import.write"), Blow(.node, "import.commit"),
        Blow(.node, "seal.write"), Blow(.node, "seal.commit"),
        Blow(.node, "push.sent"), Blow(.province, "push.part"), Blow(.province, "push.stored"),
        Blow(.province, "merge.write"), Blow(.province, "merge.commit"), Blow(.province, "merge.mark"),
        Blow(.node, "pull.page"),
        Blow(.forward, "forward.write"), Blow(.forward, "forward.commit"), Blow(.forward, "forward.sent"),
        Blow(.forward, "forward.page"), Blow(.forwarder, "forward.commit"), Blow(.forwarder, "forward.write"),
        Blow(.ministry, "push.part"), Blow(.ministry, "push.stored"), Blow(.ministry, "merge.write"),
        Blow(.ministry, "merge.commit"),
    ]
    static let random: [Blow] = [
        Blow(.node, "random"), Blow(.province, "random"), Blow(.forward, "random"), Blow(.ministry, "random"),
    ]

    /// Every step in both; every point, twice, in the long run.
    static func plan(isLong: Bool, _ random: inout SeededGenerator) -> [Blow] {
        if isLong {
            return (everywhere + everywhere + Blow.random + Blow.random + Blow.random).shuffled(using: &random)
        }
        var plan: [Blow] = []
        func pick(_ victims: [Victim], _ step: String) {
            plan.append(everywhere.filter { victims.contains($0.victim) && $0.point.hasPrefix(step) }.randomElement(using: &random)!)
        }
        pick([.node], "import")
        pick([.node], "seal")
        pick([.node], "push")
        pick([.province], "push")
        pick([.province], "merge")
        pick([.ministry], "merge")
        pick([.node], "pull")
        pick([.forward], "forward")
        pick([.forwarder], "forward")
        return (plan + [Blow(.node, "random"), Blow(.province, "random"), Blow(.forward, "random")]).shuffled(using: &random)
    }
}
