// Segments that a parent cannot understand when they come, in the model's histories: what `Inbox`, `MergeWorker` and `QuarantinedSeqs`
// do, without their databases. How a released segment is judged (`SegmentMerger`), what a later word settles (`Pending`) and what a page
// calls merged (`MergedSeqs`) is the production code.

@testable import Hub
@testable import Shared

/// At a parent.
struct QuarantineState {
    var lying: [SiteID: [ModelSegment]] = [:]
    /// All that ever lay there, and where each was merged.
    var ever: [SiteID: [(seqs: ClosedRange<Seq>, at: Position?)]] = [:]

    func hasLain(_ segment: ModelSegment, of site: SiteID) -> Bool { ever[site, default: []].contains { $0.seqs.upperBound == segment.last } }

    /// What the authors of a segment had seen, and those of all that lies below it.
    func cursor(_ segment: ModelSegment, of site: SiteID) -> Position {
        lying[site, default: []].filter { $0.first < segment.first }.map(\.cursor).reduce(segment.cursor, min)
    }

    mutating func keep(_ segment: ModelSegment, of site: SiteID) {
        lying[site, default: []].append(segment)
        ever[site, default: []].append((segment.first...segment.last, nil))
    }

    mutating func release(_ last: Seq, of site: SiteID) -> ModelSegment {
        lying[site]!.remove(at: lying[site]!.firstIndex { $0.last == last }!)
    }

    mutating func note(_ last: Seq, of site: SiteID, mergedAt end: Position) {
        ever[site]![ever[site]!.firstIndex { $0.seqs.upperBound == last }!].at = end
    }

    /// What was not merged as of a position of the log.
    func seqs(of site: SiteID, upTo: Position) -> [ClosedRange<Seq>] {
        MergedSeqs.joined(ever[site, default: []].filter { $0.at.map { $0 > upTo } ?? true }.map(\.seqs))
    }
}

extension ModelReplica {
    /// A segment can be understood now.
    func release(_ last: Seq, of child: ModelReplica) throws {
        let segment = quarantine.release(last, of: child.site)
        let arrived = max(store.merged(of: child.site), quarantine.ever[child.site]!.map(\.seqs.upperBound).max()!)
        var later = LaterWords()
        for other in child.link.outbox where other.first > segment.last && other.last <= arrived {
            if !quarantine.lying[child.site, default: []].contains(where: { $0.last == other.last }) { later.add(other.body) }
        }
        try merge(segment, from: child, later: later)
        quarantine.note(last, of: child.site, mergedAt: store.logEnd)
    }

    /// Which of a child's changes are merged as of a position; `known`: what an earlier page has called so.
    func merged(of site: SiteID, upTo: Position, known: Seq) -> MergedSeqs {
        let upToSeq = max(known, store.merged(of: site, upTo: upTo))
        return MergedSeqs(upTo: upToSeq, quarantined: mutants.contains(.quarantineSilent) ? [] : quarantine.seqs(of: site, upTo: upTo))
    }
}
