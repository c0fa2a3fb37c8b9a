extension BodyCodec {
    /// - Throws: at the first byte that cannot be; every byte must have been read.
    package static func decode(_ raw: [UInt8]) throws(CodecError) -> SegmentBody {
        var reader = ByteReader(raw)
        var budget = DecodeBudget()
        var body = SegmentBody()
        let flags = try reader.byte("body flags")
        guard flags & ~hasPage == 0 else { throw .outOfRange(what: "body flags", value: Int(flags), at: 0) }
        let isPage = flags & hasPage != 0
        body.stamps = try decodeStamps(from: &reader, budget: &budget)
        if isPage { body.page = try decodePage(from: &reader) }
        let formCount = try reader.count("forms", limit: Limits.segmentFormsMax)
        var changesLeft = Limits.segmentChangesMax
        for _ in 0..<formCount {
            let form = try decodeForm(
                isPage: isPage, stamps: body.stamps.count, changesMax: changesLeft, from: &reader, budget: &budget)
            changesLeft -= form.count
            body.forms.append(form)
        }
        try reader.expectEnd(of: "body")
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

    private static func decodePage(from reader: inout ByteReader) throws(CodecError) -> LogPageInfo {
        let after = Position(try reader.zigzag("page start"))
        let upTo = Position(try reader.zigzag("page end"))
        let logEnd = Position(try reader.zigzag("log end"))
        var merged: [SiteID: Seq] = [:]
        var last: SiteID?
        for _ in 0..<(try reader.count("merged sites", limit: Limits.pageSitesMax)) {
            let at = reader.position
            let site = SiteID(try reader.fixed(UInt64.self, "merged site"))
            // Ascending: so no site stands twice, and a page has one spelling.
            if let last, site <= last { throw .outOfRange(what: "merged site", value: merged.count, at: at) }
            merged[site] = Seq(try reader.zigzag("merged seq"))
            last = site
        }
        return LogPageInfo(after: after, upTo: upTo, logEnd: logEnd, merged: merged)
    }

    private static func decodeForm(
        isPage: Bool, stamps: Int, changesMax: Int, from reader: inout ByteReader, budget: inout DecodeBudget
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
        form.stamps = try IntegerStream.decode(count, in: 0..<Int64(stamps), "stamp index", from: &reader).map {
            Int32($0)
        }
        if isPage { form.placements = try decodePlacements(count, from: &reader) }
        // Which fields there are follows from the masks.
        form.fields = form.masks.reduce(FieldMask()) { $0 | $1 }.fields
        for field in form.fields {
            try budget.take(cells: count, at: reader.position)
            let present = form.masks.map { $0.contains(field) }
            let column = try ColumnCodec.decode(
                count: count, present: present.contains(false) ? present : nil, from: &reader, budget: &budget)
            form.columns.append(column)
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
        let disputed = try IntegerStream.decode(count, in: 0..<2, "disputed", from: &reader)
        return (0..<count).map { i in
            Placement(
                written: Position(written[i]), shown: Position(written[i] &+ later[i]), writer: writers[i],
                disputed: disputed[i] == 1)
        }
    }
}
