// The form of the model's histories, and numbers of the model as zzsync's types.

import Testing

@testable import Hub
@testable import Shared

enum ModelForm {
    /// Two groups, as the model has them: one of two fields decided by an operator, one decided by the policy `newest`.
    static let form: Form = {
        let fields = (1...3).map { number in
            Field(
                number: number, id: "f\(number)", title: "f\(number)", type: .integer, length: nil, codes: nil, references: nil,
                required: false, owner: "school", privacy: "none", fill: nil, note: "", status: "standard")
        }
        let groups = [
            Group(number: 1, name: "pair", fields: [0, 1], mask: FieldMask(0b11), policy: .manual),
            Group(number: 3, name: "single", fields: [2], mask: FieldMask(0b100), policy: .newest),
        ]
        return Form(
            number: 1, id: "model.row", module: "model", section: "model", title: "row", template: nil, importOrder: nil,
            prerequisites: [], levels: [:], fields: fields, groups: groups, key: [], keyScope: .school, rules: [], example: [:])
    }()
    static let catalogue = Catalogue(forms: [form], codeSets: [:], files: [], hash: .none)

    /// A group's fields for one number of the model.
    static func values(_ group: Int, _ value: Int) -> [Value] {
        Array(repeating: .integer(Int64(value)), count: form.groups[group].fields.count)
    }

    static func number(_ values: [Value]) -> Int {
        guard case .integer(let value)? = values.first, values.allSatisfy({ $0 == values[0] }) else { return -1 }
        return Int(value)
    }

    /// The model's numbers for who brought a cell: -1 the parent, 0 this hub, else the child's site.
    static func number(_ writer: Provenance.Writer) -> Int {
        switch writer {
        case .parent: -1
        case .hub: 0
        case .child(let site): Int(site.rawValue)
        }
    }

    static func stamp(_ site: SiteID, _ time: Int) -> Stamp { Stamp(origin: site, author: "", time: Int64(time)) }
}

/// One scope's store in memory, behind the production protocol.
struct MemoryStore: ScopeStore {
    let scope = ScopeID(1)
    private(set) var logEnd = Position.none
    private(set) var rows: [RowID: MergeRow] = [:]
    private var done: [SiteID: Seq] = [:]
    /// Where each child's changes were merged: (last seq, end of the transaction).
    private(set) var merges: [SiteID: [(seq: Seq, at: Position)]] = [:]
    /// The same of what was released from quarantine below later changes.
    private var released: [SiteID: [Position: Seq]] = [:]
    private(set) var counts = CellCounts()
    /// Which life of its hub this is: positions come again after a restore, lives do not.
    var life = 0
    private(set) var marks: [Position: Int] = [:]
    private(set) var taken: [TakenKey: [TakenCell]] = [:]
    private(set) var covers: [TakenKey: [SiteID: ChainMark]] = [:]
    private var stamps = [MergeRow.nobody]
    private var numbers: [Provenance: Int64] = [:]
    var mutants: MergeMutant = []

    mutating func insertFresh(
        _ form: Form, _ changes: FormChanges, indices: [Int], by: [Provenance], at: (Int) -> Position
    ) -> [Int] {
        var known: [Int] = []
        var moved = 0
        for index in indices {
            guard rows[changes.rows[index]] == nil else {
                known.append(index)
                continue
            }
            let position = at(moved)
            let cell = Cell(written: position, shown: position, by: by[Int(changes.stamps[index])])
            var row = MergeRow(form: form, id: changes.rows[index])
            row.life = .alive
            row.lifeCell = cell
            row.cells = row.cells.map { _ in cell }
            row.values = form.fields.map { field in
                changes.fields.firstIndex(of: field.number).map { changes.columns[$0][index] } ?? .null
            }
            rows[row.id] = row
            moved += 1
        }
        return known
    }

    func load(_ form: Form, _ ids: [RowID]) -> [RowID: MergeRow] {
        var found: [RowID: MergeRow] = [:]
        for id in ids { found[id] = row(id) }
        return found
    }

    func row(_ id: RowID) -> MergeRow? {
        guard var row = rows[id] else { return nil }
        row.mutants = mutants
        return row
    }

    mutating func save(_ changed: [MergeRow]) throws {
        for var row in changed {
            (row.overwritten, row.rulings, row.moved) = ([], [], false)     // what happened to it is told once
            try packed(&row)
            rows[row.id] = row
        }
    }

    /// Where the cells stand goes through the bytes of the real stores, so that whatever those lose is missed.
    private mutating func packed(_ row: inout MergeRow) throws {
        let groups = row.form.groups.enumerated().map { ($1.number, row.cells[$0], row.cases[$0] != nil) }
        var entries = ([(0, row.lifeCell, false)] + groups).map { group, cell, disputed in
            RowMeta.Entry(
                group: group, written: cell.written, shown: cell.shown, stamp: cell.isWritten ? number(cell.by) : 0,
                disputed: disputed, base: cell.base, disputedAbove: cell.disputedAbove)
        }
        let meta = RowMeta.pack(entries, rowCase: row.rowCase != nil)
        for index in entries.indices {
            entries[index] = RowMeta.Entry(
                group: entries[index].group, written: .none, shown: .none, stamp: 0, disputed: false, base: .none)
        }
        let state = try meta.unpack(into: &entries)
        let cells = entries.map { entry in
            var cell = Cell(written: entry.written, shown: entry.shown, by: stamps[Int(entry.stamp)])
            cell.base = entry.base
            cell.disputedAbove = entry.disputedAbove
            return cell
        }
        row.lifeCell = cells[0]
        row.cells = Array(cells.dropFirst())
        if !state.hasRowCase, !state.disputed { (row.cases, row.rowCase) = ([:], nil) }
    }

    private mutating func number(_ by: Provenance) -> Int64 {
        if let known = numbers[by] { return known }
        stamps.append(by)
        numbers[by] = Int64(stamps.count - 1)
        return numbers[by]!
    }

    /// A mutant's: the product keeps its dead.
    mutating func forget(_ id: RowID) { rows[id] = nil }

    mutating func append(_ extent: Extent, upTo: Position) {
        logEnd = upTo
        marks[upTo] = life
        if let (site, seq) = extent.merged { merges[site, default: []].append((seq, upTo)) }
        if let (site, seq) = extent.released { released[site, default: [:]][upTo] = seq }
    }

    func mergedSeq(of site: SiteID, at position: Position) -> Seq? {
        if let merge = merge(at: position), merge.site == site { return merge.upTo }
        return end(of: position).flatMap { released[site]?[$0] }
    }

    /// Of the transaction that has this position.
    private func end(of position: Position) -> Position? { marks.keys.filter { $0 >= position }.min() }

    // MARK: what comes back from logs that are lost

    struct TakenKey: Hashable {
        let row: RowID
        let group: Int
        var epoch = 0
    }

    func covered(_ form: Form, _ row: RowID, by site: SiteID) -> [Int: ChainMark] {
        ([CoverNumber.byDelete, 0] + form.groups.map(\.number)).reduce(into: [:]) { $0[$1] = covers[TakenKey(row: row, group: $1)]?[site] }
    }

    mutating func cover(_ form: Form, _ row: RowID, groups: [Int], by site: SiteID, upTo mark: ChainMark) {
        for group in groups {
            let key = TakenKey(row: row, group: group)
            if mark.seq > covers[key]?[site]?.seq ?? .none { covers[key, default: [:]][site] = mark }
        }
    }

    func merge(at position: Position) -> (site: SiteID, upTo: Seq)? {
        guard let end = end(of: position) else { return nil }
        // A new incarnation's inherited merges are its parent's; the parent's own stands first.
        let found = merges.sorted { $0.key < $1.key }.flatMap { site, ends in ends.filter { $0.at == end }.map { (site, $0.seq) } }
        return found.first.map { (site: $0.0, upTo: $0.1) }
    }

    func taken(_ form: Form, _ row: RowID, epoch: Int) -> [Int: [TakenCell]] {
        ([0] + form.groups.map(\.number)).reduce(into: [:]) { $0[$1] = taken[TakenKey(row: row, group: $1, epoch: epoch)] }
    }

    /// Nor do they decide by hand what a policy decides.
    func decided(_ form: Form, _ row: RowID, at position: Position) -> Decider? { nil }

    func isDistinct(_ form: Form, _ row: RowID, after position: Position) -> Bool { false }

    /// The models have no undo.
    mutating func note(_ same: SameWord) {}

    mutating func note(_ cell: TakenCell, _ form: Form, _ row: RowID, group: Int, epoch: Int) {
        let key = TakenKey(row: row, group: group, epoch: epoch)
        taken[key] = taken[key, default: []].filter { $0.was != cell.was } + [cell]
    }

    /// A child whose parent was put back: what its values were made over in the lost log tells nothing.
    mutating func lowerBases(to cursor: Position) {
        for id in rows.keys { _ = rows[id]!.lowerBases(to: cursor) }
    }

    func merged(of site: SiteID) -> Seq { done[site] ?? .none }

    mutating func count(_ counts: CellCounts, sent: Int, of site: SiteID, upTo: Seq) {
        done[site] = max(merged(of: site), upTo)
        self.counts += counts
    }

    mutating func replaceFindings(_ form: Form, rows: [RowID], with findings: [Finding]) {}

    /// Up to which of a child's seqs the hub had merged as of a position.
    func merged(of site: SiteID, upTo: Position) -> Seq {
        merges[site, default: []].filter { $0.at <= upTo }.map(\.seq).max() ?? .none
    }

    func mergedSeqs(upTo: Position) -> [SiteID: Seq] {
        merges.keys.reduce(into: [:]) { $0[$1] = merged(of: $1, upTo: upTo) }
    }

    /// A restored node goes on as `new`; what its older incarnation had sealed up to `seq` counts as its own.
    ///
    /// - Returns: the position up to which the older incarnation's writes count.
    mutating func inherit(_ new: SiteID, from old: SiteID, upTo seq: Seq) -> Position {
        let shared = merges[old, default: []].filter { $0.seq <= seq }
        merges[new] = shared
        done[new] = seq
        return shared.map(\.at).max() ?? .none
    }
}
