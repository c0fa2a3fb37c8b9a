// Quarantine against its model: segments that a parent cannot understand when they come, released later in any order. The same rows,
// cases, positions and debts after every step; with any rule of it left out not (VariantTests).

import Foundation
import Testing

@testable import Shared

@Suite(.serialized) struct QuarantineModelTests {
    static let model = MergeModel("quarantine", "quarantine_run.py", short: 60, long: 900)
    static let first = model.first()

    @Test(arguments: [3, 4]) func modelLosesNothing(tiers: Int) async throws {
        try await Self.model.expectNothingLost(tiers: tiers)
    }

    @Test(arguments: [3, 4]) func agreesAfterEveryStep(tiers: Int) async throws {
        try await Self.model.expectAgreement(tiers: tiers, first: Self.first)
    }
}
