/* The walk over BAM records: sizes checked, filters applied, starts and aligned bases added to the tallies.
 *
 * Record layout: section 4.2 of the SAM specification, https://samtools.github.io/hts-specs/SAMv1.pdf. Nothing is
 * read before its place was checked against the end of the buffer, and nothing is written before contig and position
 * were checked against the layout: the file may be hostile. The filters are explained in docs/methods/counting.md;
 * tally.py applies the same ones to alignments from other sources, and numbers what both count. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FINE, BAD_SIZE, BAD_REFERENCE, BAD_POSITION, BAD_LAYOUT, BAD_CIGAR, BAD_ORDER };
enum { MUST_ASCEND, LAST_PLACE };
enum { RECORDS, SECONDARY, SUPPLEMENTARY, MAPPED, DUPLICATES, MALFORMED, BELOW_CHROMOSOME, BELOW_PLASMID, N_TOTALS };
enum { UNMAPPED = 0x4, IS_SECONDARY = 0x100, IS_DUPLICATE = 0x400, IS_SUPPLEMENTARY = 0x800 };

#define FIXED_BYTES 36
#define MAX_RECORD (1 << 26)

typedef struct {
    const int64_t *contig_of_reference, *contig_length, *contig_offset, *bin_begin, *bin_end, *min_mapq;
    int64_t n_references, n_contigs, n_bins, n_places;
    int64_t *starts;       /* (2, n_bins) */
    int32_t *depth_change; /* (2, n_places) */
    int64_t *totals;       /* (n_contigs + 1, N_TOTALS) */
    int64_t *order;        /* whether places must ascend; that of the last record */
    int64_t bin;           /* the last one found: reads of a sorted file mostly start in the same */
} Tallies;

typedef struct {
    int64_t consumed, problem, n_records, value;
} Outcome;

static int64_t u16(const uint8_t *p) { return (int64_t)(p[0] | p[1] << 8); }

static uint32_t u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int64_t i32(const uint8_t *p) { return (int32_t)u32(p); }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Whether every operation is known; reference bases, read bases and whether an N stands in it. */
static int measure_cigar(const uint8_t *cigar, int64_t n, int64_t *reference, int64_t *read, int *skips) {
    *reference = *read = *skips = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t word = u32(cigar + 4 * i);
        int64_t length = word >> 4;
        switch (word & 15) {
        case 0: case 7: case 8: *reference += length; *read += length; break;
        case 1: case 4: *read += length; break;
        case 3: *skips = 1; *reference += length; break;
        case 2: *reference += length; break;
        case 5: case 6: break;
        default: return 0;
        }
    }
    return 1;
}

/* Where `samtools sort` puts a record; order.py says the same. Without a reference it comes last. */
static int64_t sorting_place(int64_t reference, int64_t position) {
    return reference < 0 ? INT64_MAX : reference << 32 | (position + 1);
}

/* The bin that holds a place, -1 for none. Bins ascend and do not overlap. */
static int64_t bin_at(Tallies *t, int64_t place) {
    if (place < t->bin_begin[t->bin] || place >= t->bin_end[t->bin]) {
        int64_t low = 0, high = t->n_bins;
        while (high - low > 1) {
            int64_t middle = (low + high) / 2;
            if (t->bin_begin[middle] <= place)
                low = middle;
            else
                high = middle;
        }
        t->bin = low;
    }
    return place >= t->bin_begin[t->bin] && place < t->bin_end[t->bin] ? t->bin : -1;
}

static void add_record(Tallies *t, int64_t contig, int64_t position, const uint8_t *cigar, int64_t n_cigar,
                       const int *counted) {
    int64_t limit = t->contig_length[contig], start = position;
    int64_t place = t->contig_offset[contig], bin = bin_at(t, place + position);
    for (int rule = 0; rule < 2; rule++)
        if (counted[rule] && bin >= 0) t->starts[rule * t->n_bins + bin]++;
    for (int64_t i = 0; i < n_cigar; i++) {
        uint32_t word = u32(cigar + 4 * i);
        int64_t length = word >> 4, operation = word & 15;
        int aligned = operation == 0 || operation == 7 || operation == 8;
        if (aligned && length > 0 && start < limit) {
            int64_t end = smaller(start + length, limit);
            for (int rule = 0; rule < 2; rule++)
                if (counted[rule]) {
                    int32_t *change = t->depth_change + rule * t->n_places + place;
                    change[start]++;
                    change[end]--;
                }
        }
        if (aligned || operation == 2) start += length;
    }
}

static Outcome walk(const uint8_t *data, int64_t size, Tallies *t) {
    int64_t at = 0, n_records = 0;
#define STOP(problem, value) return (Outcome){at, (problem), n_records, (value)}
    while (at + 4 <= size) {
        int64_t length = i32(data + at);
        if (length < FIXED_BYTES - 4 || length > MAX_RECORD) STOP(BAD_SIZE, length);
        if (at + 4 + length > size) break;
        const uint8_t *record = data + at;
        int64_t reference = i32(record + 4), position = i32(record + 8);
        int64_t name_bytes = record[12], mapq = record[13];
        int64_t n_cigar = u16(record + 16), flag = u16(record + 18), read_bases = i32(record + 20);
        if (reference < -1 || reference >= t->n_references) STOP(BAD_REFERENCE, reference);
        if (position < -1) STOP(BAD_POSITION, position);
        if (name_bytes < 1 || read_bases < 0) STOP(BAD_LAYOUT, read_bases);
        if (FIXED_BYTES + name_bytes + 4 * n_cigar + (read_bases + 1) / 2 + read_bases > 4 + length)
            STOP(BAD_LAYOUT, read_bases);
        const uint8_t *cigar = record + FIXED_BYTES + name_bytes;
        int64_t reference_bases, cigar_read;
        int skips;
        if (!measure_cigar(cigar, n_cigar, &reference_bases, &cigar_read, &skips)) STOP(BAD_CIGAR, n_cigar);
        int64_t sorted_at = sorting_place(reference, position);
        if (sorted_at < t->order[LAST_PLACE] && t->order[MUST_ASCEND]) STOP(BAD_ORDER, sorted_at);
        t->order[LAST_PLACE] = sorted_at;
        int64_t contig = reference >= 0 ? t->contig_of_reference[reference] : -1;
        int64_t *totals = t->totals + (contig >= 0 ? contig : t->n_contigs) * N_TOTALS;
        int mapped = !(flag & UNMAPPED) && reference >= 0 && position >= 0;
        totals[RECORDS]++;
        n_records++;
        at += 4 + length;
        if (flag & IS_SECONDARY)
            totals[SECONDARY]++;
        else if (flag & IS_SUPPLEMENTARY)
            totals[SUPPLEMENTARY]++;
        else if (mapped)
            totals[MAPPED]++;
        if (!mapped) continue;
        if (flag & IS_DUPLICATE) {
            totals[DUPLICATES]++;
            continue;
        }
        int inside = contig < 0 || position < t->contig_length[contig];
        if (!inside || !reference_bases || skips || !read_bases || cigar_read != read_bases) {
            totals[MALFORMED]++;
            continue;
        }
        int counted[2] = {mapq >= t->min_mapq[0], mapq >= t->min_mapq[1]};
        totals[BELOW_CHROMOSOME] += !counted[0];
        totals[BELOW_PLASMID] += !counted[1];
        if (contig >= 0 && (counted[0] || counted[1])) add_record(t, contig, position, cigar, n_cigar, counted);
    }
#undef STOP
    return (Outcome){at, FINE, n_records, 0};
}

typedef struct {
    uint8_t *bytes;
    int64_t size, room;
} Carry; /* the begun record at the end of one block, which the next one goes on with */

static int append(Carry *c, const uint8_t *bytes, int64_t size) {
    if (c->size + size > c->room) {
        int64_t room = 2 * (c->size + size);
        uint8_t *grown = realloc(c->bytes, (size_t)room);
        if (!grown) return 0;
        c->bytes = grown;
        c->room = room;
    }
    if (size) memcpy(c->bytes + c->size, bytes, (size_t)size);
    c->size += size;
    return 1;
}

/* Bytes that the carried record takes in all; 4 while its length is not known, what is there for a length that cannot be. */
static int64_t carried_record(const Carry *c) {
    if (c->size < 4) return 4;
    int64_t length = i32(c->bytes);
    return length < FIXED_BYTES - 4 || length > MAX_RECORD ? c->size : 4 + length;
}

/* Walk a block in its place, behind the record that the blocks before it began; 0 without memory. */
static int walk_block(const uint8_t *block, int64_t size, Carry *carry, Tallies *t, Outcome *o) {
    int64_t used = 0, n_records = o->n_records;
    if (carry->size) {
        for (int64_t wanted; carry->size < (wanted = carried_record(carry)) && used < size;) {
            int64_t taken = smaller(wanted - carry->size, size - used);
            if (!append(carry, block + used, taken)) return 0;
            used += taken;
        }
        if (carry->size < carried_record(carry)) return 1; /* the record goes on still */
        *o = walk(carry->bytes, carry->size, t);
        n_records = o->n_records += n_records;
        if (o->problem) return 1;
        carry->size = 0;
    }
    *o = walk(block + used, size - used, t);
    o->n_records += n_records;
    return o->problem || append(carry, block + used + o->consumed, size - used - o->consumed);
}

enum { ORDER, CONTIG_OF_REFERENCE, LENGTH, OFFSET, BIN_BEGIN, BIN_END, MIN_MAPQ, STARTS, DEPTH_CHANGE, TOTALS, N_ARRAYS };

static int fits(const Py_buffer *b) {
    int64_t n_contigs = b[LENGTH].len / 8, n_bins = b[BIN_BEGIN].len / 8;
    int64_t n_places = b[DEPTH_CHANGE].len / 8; /* two rows of int32 */
    if (b[ORDER].len != 16 || b[OFFSET].len != 8 * n_contigs || b[MIN_MAPQ].len != 16 || b[TOTALS].len != (n_contigs + 1) * N_TOTALS * 8)
        return 0;
    if (n_bins < 1 || b[BIN_END].len != 8 * n_bins || b[STARTS].len != 16 * n_bins) return 0;
    const int64_t *contig_of_reference = b[CONTIG_OF_REFERENCE].buf, *length = b[LENGTH].buf, *offset = b[OFFSET].buf;
    for (int64_t i = 0; i < b[CONTIG_OF_REFERENCE].len / 8; i++)
        if (contig_of_reference[i] < -1 || contig_of_reference[i] >= n_contigs) return 0;
    for (int64_t i = 0; i < n_contigs; i++) /* the place behind a contig's last base takes the ends */
        if (length[i] < 0 || offset[i] < 0 || length[i] >= n_places || offset[i] >= n_places - length[i]) return 0;
    return 1;
}

static PyObject *walk_blocks(PyObject *blocks, const Py_buffer *rest, Tallies *t) {
    Py_ssize_t n_blocks = PyList_Size(blocks), taken = 0;
    Py_buffer *views = calloc((size_t)n_blocks + 1, sizeof(Py_buffer));
    Carry carry = {NULL, 0, 0};
    Outcome o = {0, FINE, 0, 0};
    PyObject *result = NULL;
    int enough_memory = views && walk_block(rest->buf, rest->len, &carry, t, &o);
    while (enough_memory && taken < n_blocks &&
           !PyObject_GetBuffer(PyList_GetItem(blocks, taken), views + taken, PyBUF_SIMPLE))
        taken++;
    if (enough_memory && taken == n_blocks) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < n_blocks && enough_memory && !o.problem; i++)
            enough_memory = walk_block(views[i].buf, views[i].len, &carry, t, &o);
        Py_END_ALLOW_THREADS
        if (enough_memory)
            result = Py_BuildValue("y#LLL", carry.size ? (const char *)carry.bytes : "", (Py_ssize_t)carry.size, (long long)o.problem,
                                   (long long)o.n_records, (long long)o.value);
    }
    if (!enough_memory) PyErr_NoMemory();
    while (taken) PyBuffer_Release(views + --taken);
    free(views);
    free(carry.bytes);
    return result;
}

PyDoc_STRVAR(walk_doc,
"walk_records(blocks, rest, order, contig_of_reference, *layout, *tallies)\n\n"
"Count every whole record in `rest` followed by a list of blocks; see order.py and tally.py for the arrays. Returns what is left\n"
"of the last record, the problem that ended the walk (0: none), the records counted, and the problem's value.");

static PyObject *walk_records(PyObject *self, PyObject *args) {
    PyObject *blocks, *result = NULL;
    Py_buffer rest = {0}, b[N_ARRAYS] = {{0}};
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy*w*y*y*y*y*y*y*w*w*w*", &blocks, &rest, b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6,
                          b + 7, b + 8, b + 9))
        return NULL;
    if (!PyList_Check(blocks)) {
        PyErr_SetString(PyExc_TypeError, "blocks must be a list of buffers");
    } else if (!fits(b)) {
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit together");
    } else {
        Tallies t = {b[CONTIG_OF_REFERENCE].buf, b[LENGTH].buf, b[OFFSET].buf, b[BIN_BEGIN].buf, b[BIN_END].buf,
                     b[MIN_MAPQ].buf, b[CONTIG_OF_REFERENCE].len / 8, b[LENGTH].len / 8, b[BIN_BEGIN].len / 8,
                     b[DEPTH_CHANGE].len / 8, b[STARTS].buf, b[DEPTH_CHANGE].buf, b[TOTALS].buf, b[ORDER].buf, 0};
        result = walk_blocks(blocks, &rest, &t);
    }
    PyBuffer_Release(&rest);
    for (int i = 0; i < N_ARRAYS; i++) PyBuffer_Release(b + i);
    return result;
}

static PyMethodDef methods[] = {{"walk_records", walk_records, METH_VARARGS, walk_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_walk", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__walk(void) { return PyModuleDef_Init(&module); }
