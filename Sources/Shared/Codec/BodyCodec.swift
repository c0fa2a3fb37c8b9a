/// The uncompressed body of a segment: stamps, page, then per form its rows and its columns.
///
/// All integers go through `IntegerStream`, so that a segment of one author, one mask and new rows has a few bytes of
/// structure in all.
package enum BodyCodec {
    package struct Encoded {
        package var bytes: [UInt8]
        /// Where the kind of data changes, for `ZstdFrame.compress`.
        package var cuts: [Int]
        /// The columns that need a predictor to be read.
        var predicted: [Predictors.Use]
    }

    static let hasPage: UInt8 = 1
    /// The page names the chains of its sites.
    static let hasChains: UInt8 = 2
    /// The page names seqs that lay in quarantine. A program that does not know this refuses the page: its school's words would be
    /// replaced by older ones.
    static let hasQuarantined: UInt8 = 4

    /// - Throws: if a receiver would refuse the body: over a limit, columns that do not fit their masks, invalid UTF-8.
    package static func encode(
        _ body: SegmentBody, predictors: Predictors = .none
    ) throws(CodecError) -> Encoded {
        try check(body)
        var out = ByteWriter(reserving: body.forms.reduce(4096) { sum, form in
            form.columns.reduce(sum) { $0 + $1.bytes.count / 2 + $1.count }
        })
        var cuts = Cuts()
        let namesChains: Bool = body.page.map { page in page.merged.values.contains { $0.chain != 0 } } ?? false
        let namesQuarantined = body.page.map { !$0.quarantined.isEmpty } ?? false
        out.byte((body.page == nil ? 0 : hasPage) | (namesChains ? hasChains : 0) | (namesQuarantined ? hasQuarantined : 0))
        encodeStamps(body.stamps, into: &out)
        if let page = body.page { encodePage(page, namesChains, into: &out) }
        out.varint(body.forms.count)
        var predicted: [Predictors.Use] = []
        for form in body.forms {
            encodeForm(form, isPage: body.page != nil, predictors, into: &out, &cuts, &predicted)
        }
        let rawBytesMax = body.page == nil ? Limits.segmentRawBytesHardMax : Limits.pageRawBytesHardMax
        guard out.count <= rawBytesMax else { throw .overLimit(what: "raw bytes", value: out.count, limit: rawBytesMax, at: 0) }
        return Encoded(bytes: out.bytes, cuts: cuts.finished(count: out.count), predicted: predicted)
    }

    /// Blocks of less than this cost more in tables than they save.
    private struct Cuts {
        static let pieceBytesMin = 2 << 10
        private var offsets: [Int] = []
        mutating func offer(_ offset: Int) {
            if offset - (offsets.last ?? 0) >= Self.pieceBytesMin { offsets.append(offset) }
        }
        func finished(count: Int) -> [Int] { offsets.filter { count - $0 >= Self.pieceBytesMin } }
    }

    private static func encodeStamps(_ stamps: [Stamp], into out: inout ByteWriter) {
        out.varint(stamps.count)
        encodeTable(stamps.map(\.origin), into: &out) { $1.fixed($0.rawValue) }
        encodeTable(stamps.map(\.author), into: &out) { author, out in
            var author = author
            author.withUTF8 {
                out.varint($0.count)
                out.raw($0)
            }
        }
        IntegerStream.encode(stamps.map(\.time), into: &out)
    }

    /// The distinct elements by first appearance, then an index each.
    private static func encodeTable<Element: Hashable>(
        _ elements: [Element], into out: inout ByteWriter, _ write: (Element, inout ByteWriter) -> Void
    ) {
        var numbers: [Element: Int64] = [:]
        var distinct: [Element] = []
        var indices: [Int64] = []
        indices.reserveCapacity(elements.count)
        for (i, element) in elements.enumerated() {
            // Neighbours are mostly equal: spare the look-up.
            if i > 0, element == elements[i - 1] {
                indices.append(indices[i - 1])
            } else if let number = numbers[element] {
                indices.append(number)
            } else {
                indices.append(Int64(distinct.count))
                numbers[element] = Int64(distinct.count)
                distinct.append(element)
            }
        }
        out.varint(distinct.count)
        for element in distinct { write(element, &out) }
        IntegerStream.encode(indices, into: &out)
    }

    private static func encodePage(_ page: LogPageInfo, _ namesChains: Bool, into out: inout ByteWriter) {
        out.zigzag(page.after.rawValue)
        out.zigzag(page.upTo.rawValue)
        out.zigzag(page.logEnd.rawValue)
        out.varint(page.merged.count)
        // Sorted: the same page must have the same bytes.
        for (site, mark) in page.merged.sorted(by: { $0.key < $1.key }) {
            out.fixed(site.rawValue)
            out.zigzag(mark.seq.rawValue)
            if namesChains { out.fixed(mark.chain) }
        }
        if !page.quarantined.isEmpty { encodeQuarantined(page.quarantined, into: &out) }
    }

    /// Of each site how far the next range lies from the end of the one before, and its length, both at least 1.
    private static func encodeQuarantined(_ quarantined: [SiteID: [ClosedRange<Seq>]], into out: inout ByteWriter) {
        out.varint(quarantined.count)
        for (site, ranges) in quarantined.sorted(by: { $0.key < $1.key }) {
            out.fixed(site.rawValue)
            out.varint(ranges.count)
            var end: Int64 = 0
            for range in ranges {
                out.zigzag(range.lowerBound.rawValue - end)
                out.zigzag(range.upperBound.rawValue - range.lowerBound.rawValue + 1)
                end = range.upperBound.rawValue
            }
        }
    }

    private static func encodeForm(
        _ form: FormChanges, isPage: Bool, _ predictors: Predictors, into out: inout ByteWriter, _ cuts: inout Cuts,
        _ predicted: inout [Predictors.Use]
    ) {
        out.varint(form.form)
        out.varint(form.count)
        IntegerStream.encode(form.rows.map(\.rawValue), into: &out)
        IntegerStream.encode(form.life.map { Int64($0.rawValue) }, into: &out)
        encodeTable(form.masks, into: &out) { $1.fixed($0.bits) }
        IntegerStream.encode(form.stamps.map(Int64.init), into: &out)
        if isPage { encodePlacements(form.placements, into: &out) }
        for (i, field) in form.fields.enumerated() {
            cuts.offer(out.count)
            var cells: [Int32] = []
            cells.reserveCapacity(form.count)
            for change in 0..<form.count where form.masks[change].contains(field) { cells.append(Int32(change)) }
            guard let predictor = predictors[form.form, field], let prediction = form.prediction(by: predictor) else {
                ColumnCodec.encode(form.columns[i], cells: cells, into: &out)
                continue
            }
            let isUsed = ColumnCodec.encode(
                form.columns[i], cells: cells, prediction: prediction,
                isCovered: { form.masks[$0].isSuperset(of: predictor.sources) }, into: &out)
            if isUsed { predicted.append(Predictors.Use(form: form.form, field: field)) }
        }
        cuts.offer(out.count)
    }

    private static func encodePlacements(_ placements: [Placement], into out: inout ByteWriter) {
        IntegerStream.encode(placements.map(\.written.rawValue), into: &out)
        // Mostly 0: the log shows a cell where it was written.
        IntegerStream.encode(placements.map { $0.shown.rawValue &- $0.written.rawValue }, into: &out)
        encodeTable(placements.map(\.writer), into: &out) { $1.fixed($0.rawValue) }
        IntegerStream.encode(placements.map { ($0.disputed ? 1 : 0) + ($0.disputedAbove ? 2 : 0) }, into: &out)
    }

    // MARK: What a decoder would refuse

    private static func check(_ body: SegmentBody) throws(CodecError) {
        try limit("changes", body.changeCount, Limits.segmentChangesMax)
        try limit("stamps", body.stamps.count, Limits.segmentChangesMax)
        try limit("forms", body.forms.count, Limits.segmentFormsMax)
        try limit("merged sites", body.page?.merged.count ?? 0, Limits.pageSitesMax)
        try limit("quarantined sites", body.page?.quarantined.count ?? 0, Limits.pageSitesMax)
        for (_, ranges) in body.page?.quarantined ?? [:] { try limit("quarantined ranges", ranges.count, Limits.pageRangesMax) }
        try limit("cells", body.forms.reduce(0) { $0 + $1.count * $1.fields.count }, Limits.segmentCellsMax)
        for stamp in body.stamps { try limit("author bytes", stamp.author.utf8.count, Limits.textBytesMax) }
        // A dictionary's entries are counted beside its texts, hence half of what a decoder takes.
        let textBytes = body.forms.reduce(0) { $1.columns.reduce($0) { $0 + $1.bytes.count } }
        try limit("text bytes", textBytes, (body.page == nil ? Limits.segmentTextBytesMax : Limits.pageTextBytesMax) / 2)
        for form in body.forms { try check(form, stamps: body.stamps.count, isPage: body.page != nil) }
    }

    private static func check(_ form: FormChanges, stamps: Int, isPage: Bool) throws(CodecError) {
        let count = form.count
        try equal("life", form.life.count, count)
        try equal("masks", form.masks.count, count)
        try equal("stamps", form.stamps.count, count)
        try equal("placements", form.placements.count, isPage ? count : 0)
        try equal("columns", form.columns.count, form.fields.count)
        let union = form.masks.reduce(FieldMask()) { $0 | $1 }
        guard form.form >= 0, form.form <= Int32.max else { throw .outOfRange(what: "form", value: form.form, at: 0) }
        guard union.bits >> UInt128(FieldMask.fieldNumberMax) == 0 else {
            throw .outOfRange(what: "mask", value: FieldMask.fieldNumberMax + 1, at: 0)
        }
        guard union.fields == form.fields else {
            throw .inconsistent(what: "fields", found: form.fields.count, expected: union.fields.count, at: 0)
        }
        for stamp in form.stamps where stamp < 0 || stamp >= stamps {
            throw .outOfRange(what: "stamp index", value: Int(stamp), at: 0)
        }
        for (field, column) in zip(form.fields, form.columns) {
            try equal("cells of field \(field)", column.count, count)
            for i in 0..<count where column.tags[i] == CellColumn.Tag.text.rawValue {
                try limit("text of field \(field)", column.textRange(i).count, Limits.textBytesMax)
            }
            guard ColumnCodec.isValidUTF8(column) else {
                throw .invalidUTF8(what: "form \(form.form) field \(field)", at: 0)
            }
        }
    }

    private static func limit(
        _ what: @autoclosure () -> String, _ value: Int, _ limit: Int
    ) throws(CodecError) {
        guard value <= limit else { throw .overLimit(what: what(), value: value, limit: limit, at: 0) }
    }
    private static func equal(
        _ what: @autoclosure () -> String, _ found: Int, _ expected: Int
    ) throws(CodecError) {
        guard found == expected else { throw .inconsistent(what: what(), found: found, expected: expected, at: 0) }
    }
}

extension FormChanges {
    /// The cells that the predictor gives; nil when a column that it needs is not there.
    func prediction(by predictor: Predictor) -> CellColumn? {
        guard predictor.sources.fields.allSatisfy(fields.contains) else { return nil }
        var sources: [Int: CellColumn] = [:]
        for field in predictor.sources.fields { sources[field] = columns[fields.firstIndex(of: field)!] }
        return predictor.predict(count, sources)
    }
}
