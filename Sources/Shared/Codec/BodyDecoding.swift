extension BodyCodec {
    /// A body as far as its bytes tell: what is predicted has its exceptions only.
    struct Parsed {
        fileprivate(set) var body = SegmentBody()
        fileprivate(set) var predicted: [Predictors.Use] = []
        /// By index of the form in the body, then by field number.
        fileprivate var exceptions: [[Int: ColumnCodec.Exceptions]] = []
        fileprivate var budget = DecodeBudget()
    }

    /// - Throws: at the first byte that cannot be; every byte must have been read.
    package static func decode(_ raw: [UInt8], predictors: Predictors = .none) throws(CodecError) -> SegmentBody {
        try complete(try parse(raw, mayPredict: true), predictors)
    }

    /// - Parameter mayPredict: false refuses predicted columns as something unknown.
    static func parse(_ raw: [UInt8], mayPredict: Bool) throws(CodecError) -> Parsed {
        var reader = ByteReader(raw)
        var parsed = Parsed()
        let flags = try reader.byte("body flags")
        let isPage = flags & hasPage != 0
        if isPage { parsed.budget = DecodeBudget(textBytesMax: Limits.pageTextBytesMax) }
        guard flags & ~(isPage ? hasPage | hasChains | hasQuarantined : 0) == 0 else { throw .outOfRange(what: "body flags", value: Int(flags), at: 0) }
        parsed.body.stamps = try decodeStamps(from: &reader, budget: &parsed.budget)
        if isPage {
            var page = try decodePage(namesChains: flags & hasChains != 0, from: &reader)
            if flags & hasQuarantined != 0 { page.quarantined = try decodeQuarantined(from: &reader) }
            parsed.body.page = page
        }
        let formCount = try reader.count("forms", limit: Limits.segmentFormsMax)
        var changesLeft = Limits.segmentChangesMax
        for _ in 0..<formCount {
            let form = try decodeForm(
                isPage: isPage, changesMax: changesLeft, mayPredict: mayPredict, from: &reader, into: &parsed)
            changesLeft -= form.count
            parsed.body.forms.append(form)
        }
        try reader.expectEnd(of: "body")
        return parsed
    }

    /// Puts in what is predicted, sources first.
    static func complete(_ parsed: Parsed, _ predictors: Predictors) throws(CodecError) -> SegmentBody {
        guard !parsed.predicted.isEmpty else { return parsed.body }
        var body = parsed.body
        var budget = parsed.budget
        var left = parsed.predicted.count
        for index in body.forms.indices {
            let number = body.forms[index].form
            for field in predictors.order(number) {
                guard let exceptions = parsed.exceptions[index][field],
                    let predictor = predictors[number, field], let at = body.forms[index].fields.firstIndex(of: field),
                    let prediction = body.forms[index].prediction(by: predictor)
                else { continue }
                let masks = body.forms[index].masks
                body.forms[index].columns[at] = try ColumnCodec.merge(
                    prediction, exceptions, present: { masks[$0].contains(field) },
                    isCovered: { masks[$0].isSuperset(of: predictor.sources) }, count: masks.count,
                    what: "prediction of field \(field)", budget: &budget)
                left -= 1
            }
        }
        guard left == 0 else { throw .inconsistent(what: "predicted columns", found: left, expected: 0, at: 0) }
        return body
    }

    private static func decodeStamps(
        from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> [Stamp] {
        let count = try reader.count("stamps", limit: Limits.segmentChangesMax)
        let origins = try decodeTable(count, "origin", from: &reader) { (reader) throws(CodecError) in
            SiteID(try reader.fixed(UInt64.self, "origin"))
        }
        let authors = try decodeTable(count, "author", from: &reader) { (reader) throws(CodecError) in
            let range = try reader.take(try reader.count("author", limit: Limits.textBytesMax), "author")
            guard let author = String(validating: reader.bytes[range], as: UTF8.self) else {
                throw .invalidUTF8(what: "author", at: range.lowerBound)
            }
            return author
        }
        let times = try IntegerStream.decode(count, "time", from: &reader)
        return (0..<count).map { Stamp(origin: origins[$0], author: authors[$0], time: times[$0]) }
    }

    private static func decodeTable<Element>(
        _ count: Int, _ what: String, from reader: inout ByteReader,
        _ read: (inout ByteReader) throws(CodecError) -> Element
    ) throws(CodecError) -> [Element] {
        let distinctCount = try reader.count(what, limit: count)
        var distinct: [Element] = []
        for _ in 0..<distinctCount { distinct.append(try read(&reader)) }
        let indices = try IntegerStream.decode(count, in: 0..<Int64(distinctCount), what, from: &reader)
        return indices.map { distinct[Int($0)] }
    }

    private static func decodePage(namesChains: Bool, from reader: inout ByteReader) throws(CodecError) -> LogPageInfo {
        let after = Position(try reader.zigzag("page start"))
        let upTo = Position(try reader.zigzag("page end"))
        let logEnd = Position(try reader.zigzag("log end"))
        var merged: [SiteID: ChainMark] = [:]
        var last: SiteID?
        for _ in 0..<(try reader.count("merged sites", limit: Limits.pageSitesMax)) {
            let at = reader.position
            let site = SiteID(try reader.fixed(UInt64.self, "merged site"))
            // Ascending: so no site stands twice, and a page has one spelling.
            if let last, site <= last { throw .outOfRange(what: "merged site", value: merged.count, at: at) }
            let seq = Seq(try reader.zigzag("merged seq"))
            merged[site] = ChainMark(seq: seq, chain: namesChains ? try reader.fixed(UInt64.self, "merged chain") : 0)
            last = site
        }
        return LogPageInfo(after: after, upTo: upTo, logEnd: logEnd, merged: merged)
    }

    private static func decodeQuarantined(from reader: inout ByteReader) throws(CodecError) -> [SiteID: [ClosedRange<Seq>]] {
        var quarantined: [SiteID: [ClosedRange<Seq>]] = [:]
        var last: SiteID?
        for _ in 0..<(try reader.count("quarantined sites", limit: Limits.pageSitesMax)) {
            let at = reader.position
            let site = SiteID(try reader.fixed(UInt64.self, "quarantined site"))
            if let last, site <= last { throw .outOfRange(what: "quarantined site", value: quarantined.count, at: at) }
            var (ranges, end): ([ClosedRange<Seq>], Int64) = ([], 0)
            for _ in 0..<(try reader.count("quarantined ranges", limit: Limits.pageRangesMax)) {
                let at = reader.position
                let (gap, length) = (try reader.zigzag("quarantined gap"), try reader.zigzag("quarantined length"))
                guard gap > 0, length > 0, gap <= Int64.max - end, length - 1 <= Int64.max - 1 - end - gap else {
                    throw .outOfRange(what: "quarantined range", value: ranges.count, at: at)
                }
                ranges.append(Seq(end + gap)...Seq(end + gap + length - 1))
                end += gap + length - 1
            }
            quarantined[site] = ranges
            last = site
        }
        return quarantined
    }

    private static func decodeForm(
        isPage: Bool, changesMax: Int, mayPredict: Bool, from reader: inout ByteReader, into parsed: inout Parsed
    ) throws(CodecError) -> FormChanges {
        var form = FormChanges(form: try reader.count("form", limit: Int(Int32.max)))
        let count = try reader.count("changes", limit: changesMax)
        form.rows = try IntegerStream.decode(count, "row id", from: &reader).map(RowID.init)
        form.life = try IntegerStream.decode(count, in: 0..<3, "life", from: &reader).map {
            Life(rawValue: UInt8($0))!
        }
        form.masks = try decodeTable(count, "mask", from: &reader) { (reader) throws(CodecError) in
            let at = reader.position
            let bits = try reader.fixed(UInt128.self, "mask")
            guard bits >> UInt128(FieldMask.fieldNumberMax) == 0 else {
                throw .outOfRange(what: "mask", value: FieldMask.fieldNumberMax + 1, at: at)
            }
            return FieldMask(bits)
        }
        form.stamps = try IntegerStream.decode(count, in: 0..<Int64(parsed.body.stamps.count), "stamp index", from: &reader).map {
            Int32($0)
        }
        if isPage { form.placements = try decodePlacements(count, from: &reader) }
        parsed.exceptions.append([:])
        // Which fields there are follows from the masks.
        form.fields = form.masks.reduce(FieldMask()) { $0 | $1 }.fields
        for field in form.fields {
            try parsed.budget.take(cells: count, at: reader.position)
            let present = form.masks.map { $0.contains(field) }
            let isPartial = present.contains(false)
            guard mayPredict else {
                form.columns.append(
                    try ColumnCodec.decode(
                        count: count, present: isPartial ? present : nil, from: &reader, budget: &parsed.budget))
                continue
            }
            switch try ColumnCodec.decodeOrPredict(
                count: count, present: isPartial ? present : nil, from: &reader, budget: &parsed.budget)
            {
            case .cells(let column): form.columns.append(column)
            case .predicted(let exceptions):
                parsed.exceptions[parsed.exceptions.count - 1][field] = exceptions
                parsed.predicted.append(Predictors.Use(form: form.form, field: field))
                form.columns.append(CellColumn())
            }
        }
        return form
    }

    private static func decodePlacements(
        _ count: Int, from reader: inout ByteReader
    ) throws(CodecError) -> [Placement] {
        let written = try IntegerStream.decode(count, "written", from: &reader)
        let later = try IntegerStream.decode(count, "shown", from: &reader)
        let writers = try decodeTable(count, "writer", from: &reader) { (reader) throws(CodecError) in
            SiteID(try reader.fixed(UInt64.self, "writer"))
        }
        let disputed = try IntegerStream.decode(count, in: 0..<4, "disputed", from: &reader)
        return (0..<count).map { i in
            Placement(
                written: Position(written[i]), shown: Position(written[i] &+ later[i]), writer: writers[i],
                disputed: disputed[i] & 1 != 0, disputedAbove: disputed[i] & 2 != 0)
        }
    }
}
