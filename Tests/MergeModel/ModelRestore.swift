// Hubs that are put back from a copy of their home, in the model's histories: what `HubService.notePutBack`, `Incarnations`,
// `SyncSession.enter` and `Incarnation` do, without their databases. What a page that comes back means (`TakeBack`), what a
// change that comes again means (`SegmentMerger`) and what a child does with a page (`RowPull`) is the production code.

@testable import Hub
@testable import Shared

/// What a copy of the home holds beside rows and link.
struct RestoringState {
    var isPutBack = false
    /// Earlier sites of this replica.
    var older: [SiteID] = []
    /// Ends of segments held, a child site.
    var chains: [SiteID: [Seq: Int]] = [:]
    /// The same, with those that an incarnation inherited.
    var ends: [SiteID: [Seq: Int]] = [:]
    /// Points that lost logs had merged of a child site, and whether its replica is known to have them.
    var heard: [SiteID: [ChainMark: Bool]] = [:]
    func vouched(_ site: SiteID) -> Set<ChainMark> { Set(heard[site, default: [:]].filter(\.value).keys) }

    // Not in a copy:
    var lives = 0
    var isThere = true
    var copy: HomeCopy?

    final class HomeCopy {
        let incarnation: Int
        let epoch: Int
        let link: ModelUplink
        let store: MemoryStore
        let held: [RowID: HeldCells]
        let sealed: Position
        let kin: [SiteID: (site: SiteID, limit: Position)]
        let state: RestoringState

        init(_ replica: ModelReplica) {
            (incarnation, epoch, link, store) = (replica.incarnation, replica.epoch, replica.link, replica.store)
            (held, sealed, kin, state) = (replica.held, replica.sealed, replica.kin, replica.restoring)
        }
    }
}

extension ModelReplica {
    // MARK: a copy of the home

    func copyHome() {
        seal()
        restoring.copy = RestoringState.HomeCopy(self)
    }

    func putBack() {
        let copy = restoring.copy!
        let present = restoring
        (incarnation, epoch, link, store) = (copy.incarnation, copy.epoch, copy.link, copy.store)
        (held, sealed, kin, restoring) = (copy.held, copy.sealed, copy.kin, copy.state)
        (restoring.lives, restoring.isThere, restoring.copy) = (present.lives, present.isThere, copy)
        putBacks += 1
        store.life = putBacks
    }

    // MARK: a hub that was put back

    private func startEpoch(above known: Int = 0) {
        restoring.isPutBack = !mutants.contains(.sameSite)
        if mutants.contains(.sameEpoch) { return }
        epoch = max(known, store.logEnd.epoch, epoch) + 1
        store.append(Extent(), upTo: Position(epoch: epoch, counter: 1))
    }

    private func survives(_ page: ModelPage) -> Bool {
        store.marks[mutants.contains(.cutByEnd) ? page.upTo : page.made] == page.mark
    }

    /// As `HubService.notePutBack`.
    private func notePutBack(_ child: ModelReplica) {
        guard child.link.epoch > 0, child.link.epoch >= epoch else { return }
        let isLost = child.link.pages.last.map { !survives($0) } ?? false
        if isLost || child.link.epoch > epoch || child.link.received > store.merged(of: child.site) { startEpoch(above: child.link.epoch) }
    }

    // MARK: hello

    func hello() throws {
        let parent = parent!
        if restoring.isPutBack { reincarnate() }
        introduceAgain()
        parent.notePutBack(self)
        if isOvertaken || isOfAnotherLife() {
            reincarnate()
            parent.notePutBack(self)
        }
        try enter()
        link.received = parent.store.merged(of: site)
    }

    /// The parent holds more of this site than was sealed here, or something else.
    private var isOvertaken: Bool {
        let held = parent!.store.merged(of: site)
        return held > .none && link.outbox.first { $0.last == held }?.chain != parent!.restoring.chains[site]?[held]
    }

    /// As `SyncSession.isOwn`; what is all its own it vouches for.
    private func isOfAnotherLife() -> Bool {
        let parent = parent!
        let points = parent.restoring.heard[site, default: [:]].keys.filter { $0.seq > parent.store.merged(of: site) }
        let isOwn = points.allSatisfy { point in link.outbox.contains { $0.last == point.seq && UInt64($0.chain) == point.chain } }
        guard isOwn || mutants.contains(.noChain) else { return true }
        for point in points { parent.restoring.heard[site]![point] = true }
        return false
    }

    /// A parent that was put back may not know this incarnation, but one before it.
    private func introduceAgain() {
        let parent = parent!
        guard incarnation > 0, parent.restoring.chains[site] == nil,
            let old = restoring.older.sorted().first(where: { parent.restoring.chains[$0] != nil })
        else { return }
        link.signAgain(after: parent.incarnate(site, after: old, heads))
    }

    private func reincarnate() {
        if !isNode, !restoring.isPutBack { startEpoch() }
        introduceAgain()
        if mutants.contains(.sameSite) { return }
        restoring.lives += 1
        let old = site
        incarnation = restoring.lives
        let shared = parent!.incarnate(site, after: old, heads)
        restoring.older.append(old)
        link.signAgain(after: shared)
        restoring.isPutBack = false
    }

    private static let headsMax = 17

    private var heads: [(seq: Seq, chain: Int)] { link.outbox.suffix(Self.headsMax).map { ($0.last, $0.chain) } }

    /// As `HubService.incarnate`.
    private func incarnate(_ new: SiteID, after old: SiteID, _ heads: [(seq: Seq, chain: Int)]) -> Seq {
        let held = restoring.chains[old] ?? [:]
        restoring.chains[old] = held
        if restoring.chains[new] == nil {
            let shared = heads.last { held[$0.seq] == $0.chain }
            restoring.chains[new] = shared.map { [$0.seq: $0.chain] } ?? [:]
            restoring.ends[new] = restoring.ends[old, default: [:]].filter { $0.key <= shared?.seq ?? .none }
            kin[new] = (old, store.inherit(new, from: old, upTo: shared?.seq ?? .none))
        }
        return store.merged(of: new)
    }

    // MARK: a parent in a new epoch

    private func enter() throws {
        let parent = parent!
        guard link.epoch != parent.epoch else {
            if !mutants.contains(.noHandBack) { for page in link.returned { try parent.takeBack(page, survived: link.pages.last?.made ?? .none, from: site) } }
            return
        }
        guard link.epoch > 0 else { return link.epoch = parent.epoch }
        seal()
        let lost = link.pages.reversed().firstIndex { parent.survives($0) }.map { link.pages.reversed().distance(from: link.pages.reversed().startIndex, to: $0) }
        let base = link.setAside(newest: lost ?? link.pages.count, mutants: mutants)
        if !mutants.contains(.noHandBack), !mutants.contains(.handBackAtOnce) || restoring.isThere {
            for page in link.returned { try parent.takeBack(page, survived: base.survived, from: site) }
        }
        link.agree(epoch: parent.epoch, base: base.cursor, merged: parent.store.merged(of: site), mutants: mutants)
        store.lowerBases(to: link.cursor)
    }

    private func takeBack(_ page: ModelPage, survived: Position, from giver: SiteID) throws {
        var info = page.body.page!
        if mutants.contains(.noChain) { info.merged = info.merged.mapValues { ChainMark(seq: $0.seq, chain: 0) } }
        let lives = info.merged.filter { $0.value.seq > .none }.reduce(into: [:]) { $0[$1.key] = life($1.key, $1.value, giver) }
        var taker = TakeBack(
            store, ModelForm.catalogue, info, epoch: page.made.epoch, survived: survived, present: epoch, lives: lives,
            context: JudgeContext(hub: name, now: 0), mutants: mutants)
        try taker.take(page.body)
        store = taker.store
    }

    /// As `Inbox.life`.
    private func life(_ site: SiteID, _ mark: ChainMark, _ giver: SiteID) -> SiteLife {
        let isHeld = restoring.ends[site]?[mark.seq].map { UInt64($0) } == mark.chain
        if !isHeld, store.merged(of: site) >= mark.seq, !mutants.contains(.noChain) { return .another }
        let isVouched = restoring.heard[site]?[mark] == true || isHeld || site == giver || mutants.contains(.noChain)
        restoring.heard[site, default: [:]][mark] = isVouched
        return isVouched ? .same : .unasked
    }

    // MARK: pages

    /// As `SyncSession.pull` keeps what it has applied.
    func keepPage(_ upTo: Position) {
        let parent = parent!
        guard upTo > link.cursor else { return }
        var body = parent.page(after: link.cursor, upTo: upTo) ?? SegmentBody()
        let made = parent.store.logEnd
        body.page = LogPageInfo(after: link.cursor, upTo: upTo, logEnd: made, merged: parent.marks(upTo: upTo))
        link.pages.append(
            ModelPage(upTo: upTo, made: made, mark: parent.store.marks[mutants.contains(.cutByEnd) ? upTo : made], body: body))
        guard upTo == made else { return }
        link.down += link.returned.map { ($0, link.pages.count - 1) }
        link.returned = []
    }

    private func marks(upTo: Position) -> [SiteID: ChainMark] {
        store.mergedSeqs(upTo: upTo).reduce(into: [:]) {
            $0[$1.key] = ChainMark(seq: $1.value, chain: UInt64(restoring.ends[$1.key]?[$1.value] ?? 0))
        }
    }
}
