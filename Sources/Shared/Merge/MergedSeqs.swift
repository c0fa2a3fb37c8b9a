// Which of a child's changes its parent has merged as of a page's end: all up to a seq, but for segments that lay in quarantine then.
//
// Two designs: a page calls nothing merged from the first such segment on (one number, but the child then passes over what others have
// written over its later words, which were merged, and comes to count as having seen that), or it names the segments' seqs beside the
// number. The second: what is passed over is what nobody has judged, and nothing else.

package struct MergedSeqs: Hashable, Sendable {
    package let upTo: Seq
    /// Ascending, apart; they may lie beyond `upTo`.
    package let quarantined: [ClosedRange<Seq>]
    package init(upTo: Seq, quarantined: [ClosedRange<Seq>] = []) {
        self.upTo = upTo
        self.quarantined = quarantined
    }

    package func contains(_ seq: Seq) -> Bool { seq <= upTo && !quarantined.contains { $0.contains(seq) } }

    /// All up to here are merged.
    package var floor: Seq { min(upTo, quarantined.first.map { $0.lowerBound.advanced(by: -1) } ?? upTo) }

    /// What is merged, ascending.
    package var ranges: [ClosedRange<Seq>] {
        var (ranges, next): ([ClosedRange<Seq>], Seq) = ([], Seq(1))
        for gap in quarantined where gap.lowerBound <= upTo {
            if next < gap.lowerBound { ranges.append(next...gap.lowerBound.advanced(by: -1)) }
            next = gap.upperBound.advanced(by: 1)
        }
        if next <= upTo { ranges.append(next...upTo) }
        return ranges
    }

    /// These and those that touch them made one; ascending.
    package static func joined(_ ranges: [ClosedRange<Seq>]) -> [ClosedRange<Seq>] {
        ranges.sorted { $0.lowerBound < $1.lowerBound }.reduce(into: []) { joined, range in
            guard let last = joined.last, range.lowerBound <= last.upperBound.advanced(by: 1) else { return joined.append(range) }
            joined[joined.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
        }
    }
}

extension LogPageInfo {
    /// Of one child; `known`: what an earlier page has called merged.
    package func merged(of site: SiteID, known: Seq = .none) -> MergedSeqs {
        MergedSeqs(upTo: max(known, merged[site]?.seq ?? .none), quarantined: quarantined[site] ?? [])
    }
}
