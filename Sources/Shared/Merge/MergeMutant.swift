// What the tests make wrong on purpose, to show that they would notice: each of these loses writes or lets replicas diverge
// (Tests/MergeModel/VariantTests.swift names them all). Nothing outside Tests sets one.

/// A rule of the merge left out or built wrong.
package struct MergeMutant: OptionSet, Hashable, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// A segment is judged with the cursor of the moment at which it arrives, not with the one it was sealed with.
    package static let lateContext = Self(rawValue: 1 << 0)
    /// A pull replaces cells that the parent has not merged yet.
    package static let pullOver = Self(rawValue: 1 << 1)
    /// Disputed and invalid cells go up.
    package static let noHold = Self(rawValue: 1 << 2)
    /// The last one to arrive wins.
    package static let noCase = Self(rawValue: 1 << 3)
    /// A write of someone who had seen what a case shows closes it.
    package static let shrink = Self(rawValue: 1 << 4)
    /// A held cell that meets another value from above opens no case.
    package static let holdBlind = Self(rawValue: 1 << 5)
    /// What waits for the parent is known a row, not a group.
    package static let rowSeq = Self(rawValue: 1 << 6)
    /// A page shows cells by the newest position of their row.
    package static let rowMax = Self(rawValue: 1 << 7)
    /// A policy that keeps the present value writes nothing.
    package static let quietPolicy = Self(rawValue: 1 << 8)
    /// A delete is judged against the row's life alone.
    package static let lifeAlone = Self(rawValue: 1 << 9)
    /// A hub's tombstone forgets the values.
    package static let noValues = Self(rawValue: 1 << 10)
    /// A kept row is not shown again whole.
    package static let noReshow = Self(rawValue: 1 << 11)
    /// A restored node counts as its older incarnation for all that one ever wrote.
    package static let kinAll = Self(rawValue: 1 << 12)
    /// Deleting a row by decision leaves its open cases.
    package static let caseLeft = Self(rawValue: 1 << 13)
    /// A row that lives again is sealed before its delete was judged above.
    package static let revive = Self(rawValue: 1 << 14)
    /// A page shows a cell by where it is shown last alone, not by where it was written.
    package static let reshowMoves = Self(rawValue: 1 << 15)
    /// A hub that sent a delete forgets which of the dead row's cells never went up.
    package static let deadForgets = Self(rawValue: 1 << 16)

    /// A child pulls before it seals what was written so far.
    package static let lateSeal = Self(rawValue: 1 << 37)
    /// A value that merely comes back counts as a new write of the parent.
    package static let echo = Self(rawValue: 1 << 38)
    /// What was held is sealed with the cursor of when it came to be held.
    package static let heldCursor = Self(rawValue: 1 << 39)
    /// An edit of a dead row opens no case.
    package static let deadSilent = Self(rawValue: 1 << 40)
    /// A tombstone goes when every child's cursor has passed it.
    package static let collect = Self(rawValue: 1 << 41)
    /// A tombstone goes when every child's cursor has passed it and nothing that was sealed before waits.
    package static let collectLate = Self(rawValue: 1 << 42)

    // Of segments in quarantine (Tests/models/quarantine_model.py).
    /// A page does not tell which seqs lay there.
    package static let quarantineSilent = Self(rawValue: 1 << 43)
    /// What a site sent later is judged with its own cursor.
    package static let ownCursor = Self(rawValue: 1 << 44)
    /// What is released writes over what its site has written since.
    package static let blindRelease = Self(rawValue: 1 << 45)

    // Of replicas that were put back (Tests/models/hub_model.py).
    /// Nothing of a lost log is handed back.
    package static let noHandBack = Self(rawValue: 1 << 17)
    /// Only the children that are there when a hub is put back hand back.
    package static let handBackAtOnce = Self(rawValue: 1 << 18)
    /// A push does not say hello.
    package static let lateHello = Self(rawValue: 1 << 19)
    /// A page survives if the log that it shows does, though it was made later.
    package static let cutByEnd = Self(rawValue: 1 << 20)
    /// What was sealed before is judged with the cursor that it was sealed with.
    package static let noCut = Self(rawValue: 1 << 21)
    /// What the lost time had called merged stays settled.
    package static let notOwed = Self(rawValue: 1 << 22)
    /// A page that comes back counts for all changes of its children, not for its cells.
    package static let wholeSeq = Self(rawValue: 1 << 23)
    /// A covered change that comes again does not show its cell.
    package static let noReturnShow = Self(rawValue: 1 << 24)
    /// What comes back never writes over what was written in the new epoch.
    package static let newerWins = Self(rawValue: 1 << 25)
    /// What comes back writes over what is there.
    package static let olderWins = Self(rawValue: 1 << 26)
    /// A hub that was put back stays the same site above.
    package static let sameSite = Self(rawValue: 1 << 27)
    /// It numbers on from its backup.
    package static let sameEpoch = Self(rawValue: 1 << 28)
    /// A disputed cell covers what it hides.
    package static let openClaims = Self(rawValue: 1 << 29)
    /// A site is what it was, whatever lost logs had merged of it.
    package static let noChain = Self(rawValue: 1 << 30)
    /// A change that comes again had seen all that its sender handed back, be it that the sender had passed over it.
    package static let markOver = Self(rawValue: 1 << 35)
    /// What comes back and is no child's counts as the parent's, which may have lost it too.
    package static let lentAbove = Self(rawValue: 1 << 36)
    /// What was handed back and has come down again never goes back a second time.
    package static let onceOnly = Self(rawValue: 1 << 46)
    /// Of a value that survived it is forgotten that the lost log asked about it.
    package static let caseSurvives = Self(rawValue: 1 << 47)
    /// What a delete of the lost log covers is dropped: the row, should it live again, has none of it.
    package static let emptyGraves = Self(rawValue: 1 << 48)

    // Of homes that go on with a catalogue that cuts groups differently (DESIGN section 5).
    /// A new group takes its fields' lowest written position.
    package static let lowestPosition = Self(rawValue: 1 << 31)
    /// It keeps a writer though its fields have several.
    package static let keptWriter = Self(rawValue: 1 << 32)
    /// Open cases of groups that are cut anew are closed unseen.
    package static let casesClosed = Self(rawValue: 1 << 33)
    /// A node switches without sealing.
    package static let switchUnsealed = Self(rawValue: 1 << 34)

    package static let regrouped: [(name: String, mutant: MergeMutant)] = [
        ("lowest_position", .lowestPosition), ("kept_writer", .keptWriter), ("cases_closed", .casesClosed), ("switch_unsealed", .switchUnsealed),
    ]
}
