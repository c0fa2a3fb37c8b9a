import Shared
import Testing

@testable import zzsync

/// What the simulator takes for lost, and what for nobody's loss.
@SimulationActor struct OracleTests {
    private let scheduler = Scheduler()
    private let oracle: Oracle
    private let row = RowKey(scope: 1, form: 1, id: 1)
    private var cell: CellKey { CellKey(row: row, group: 0) }
    private let catalogue: Catalogue

    init() throws {
        oracle = Oracle(scheduler)
        catalogue = try Simulation.bedCatalogue(CatalogueLoader.embedded())
    }

    private func turn(_ deed: @escaping @SimulationActor @Sendable () -> Void) async {
        scheduler.start(after: 1, deed)
        await scheduler.run(until: scheduler.now + 2)
    }

    private func held(_ words: String...) -> Held {
        var held = Held(catalogue, versions: [])
        for word in words { held.add(row, 0, word) }
        return held
    }

    /// Two schools disagree, and an operator keeps the first word.
    private func decideBetweenTwo() async {
        let (oracle, cell) = (oracle, cell)
        await turn { oracle.write(cell, "1985-09", over: nil, by: Clerk(node: "C1", number: 1), isEmpty: false, beside: [:]) }
        await turn { oracle.write(cell, "1988-02", over: "1985-09", by: Clerk(node: "C2", number: 2), isEmpty: false, beside: [:]) }
        await turn { oracle.decide(cell, "1985-09", covering: ["1985-09", "1988-02"], by: Judge(site: "province", author: "操作员#1")) }
    }

    /// Seed 1238: the word lay on two disks, both are lost, and so is the decision that covered it: that the value which it chose is held
    /// elsewhere brings nothing back.
    @Test func aWordThatALostDecisionAloneHadCovered() async {
        await decideBetweenTwo()
        oracle.forget(at: "C2", since: 1, held: held("1985-09", "1988-02"))
        #expect(oracle.cells[cell]?["1988-02"]?.isEntry == true, "the province holds it")
        oracle.forget(at: "province", since: 2, held: held("1985-09"))
        #expect(oracle.unknown(cell, to: "1985-09").isEmpty)
    }

    /// Where it is held by somebody it must be found again, for nobody has decided against it any more.
    @Test func aWordThatIsHeldWhenItsDecisionIsLost() async {
        await decideBetweenTwo()
        oracle.forget(at: "C2", since: 1, held: held("1985-09", "1988-02"))
        #expect(oracle.unknown(cell, to: "1985-09").isEmpty, "it was decided")
        oracle.forget(at: "province", since: 2, held: held("1985-09", "1988-02"))
        #expect(oracle.unknown(cell, to: "1985-09").map(\.value) == ["1988-02"])
    }

    /// A school writes over a word for which the province decides later, against another one: C2's.
    private func decideForAWordThatIsWrittenOver() async {
        let (oracle, cell) = (oracle, cell)
        await decideBetweenTwo()
        await turn { oracle.write(cell, "1991-03", over: "1985-09", by: Clerk(node: "C1", number: 3), isEmpty: false, beside: [:]) }
        await turn { oracle.write(cell, "1999-01", over: "1985-09", by: Clerk(node: "C2", number: 4), isEmpty: false, beside: [:]) }
        await turn { oracle.decide(cell, "1985-09", covering: ["1985-09", "1999-01"], by: Judge(site: "province", author: "操作员#2")) }
    }

    /// Seed 1030: the hub between them had the word all along, so that nothing moved there when it was told.
    @Test func aWordDecidedAgainstAboveAHubThatHadTheOther() async {
        await decideForAWordThatIsWrittenOver()
        #expect(oracle.unknown(cell, to: "1991-03").map(\.value) == ["1999-01"], "a parent that had decided must have asked")
        oracle.meet(cell, "1985-09", by: "操作员#2", below: ["C2"])
        #expect(oracle.unknown(cell, to: "1991-03").map(\.value) == ["1999-01"], "C1 is not below that hub")
        oracle.meet(cell, "1985-09", by: "操作员#2", below: ["C1"])
        #expect(oracle.unknown(cell, to: "1991-03").isEmpty)
        #expect(oracle.unknown(cell, to: "1999-01").map(\.value) == ["1991-03"], "nobody decided against what was written over it")
    }

    /// It went with the province's disk: nobody has decided.
    @Test func aDecisionThatIsLostAfterAHubHadMetIt() async {
        await decideForAWordThatIsWrittenOver()
        oracle.meet(cell, "1985-09", by: "操作员#2", below: ["C1"])
        oracle.forget(at: "province", since: 5, held: held("1985-09", "1988-02", "1991-03", "1999-01"))
        #expect(oracle.unknown(cell, to: "1991-03").map(\.value) == ["1999-01"])
    }
}
