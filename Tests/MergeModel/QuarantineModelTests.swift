// Quarantine against its model: segments that a parent cannot understand when they come, released later in any order. The same rows,
// cases, positions and debts after every step; with any rule of it left out not (VariantTests).

import Foundation
import Testing

@testable import Shared

@Suite(.serialized) struct QuarantineModelTests {
    /// Histories of each number of tiers.
    static var seeds: Int { MergeModel.isLong ? 900 : 60 }

    static let first: [Int: Result<[UInt8], any Error>] = [3: Result { try print(3, 0..<60) }, 4: Result { try print(4, 0..<60) }]

    private static func print(_ tiers: Int, _ seeds: Range<Int>) throws -> [UInt8] {
        try MergeModel.run(["print", "\(seeds.count)", "\(tiers)", "\(seeds.lowerBound)"], script: "quarantine_run.py")
    }

    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        let output = try await MergeModel.aside { try MergeModel.run(["check", "\(Self.seeds)", "\(tiers)"], script: "quarantine_run.py") }
        let said = String(decoding: output, as: UTF8.self)
        #expect(said.contains("lost=0 (0 seeds) diverged=0 (0) partial=0"), "\(said)")
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        var histories = 0
        var steps = 0
        for start in stride(from: 0, to: Self.seeds, by: 60) {
            let outcome = try await MergeModel.aside {
                MergeModel.replay(try start == 0 ? Self.first[tiers]!.get() : Self.print(tiers, start..<start + 60))
            }
            if let difference = outcome.difference {
                Issue.record("\(difference)")
                return
            }
            histories += outcome.histories
            steps += outcome.steps
        }
        #expect(histories == Self.seeds)
        Swift.print("quarantine, \(tiers) tiers: \(histories) histories, \(steps) steps agree")
    }
}
