/* Types of columns and rows as HDF5 describes them. */
#include "parts.h"

hid_t ba_trace_text_type(size_t size) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static hid_t column_type(const ba_column *c) {
    switch (c->type) {
    case BA_COLUMN_I64:
        return H5Tcopy(H5T_NATIVE_INT64);
    case BA_COLUMN_U64:
        return H5Tcopy(H5T_NATIVE_UINT64);
    case BA_COLUMN_F64:
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    case BA_COLUMN_TEXT:
        return ba_trace_text_type(c->size);
    case BA_COLUMN_STRING:
        return ba_trace_text_type(H5T_VARIABLE);
    }
    return H5I_INVALID_HID;
}

hid_t ba_trace_row_type(const ba_column *column, size_t n, size_t row_size) {
    hid_t row = H5Tcreate(H5T_COMPOUND, row_size);
    for (size_t i = 0; i < n && row >= 0; i++) {
        hid_t member = column_type(&column[i]);
        herr_t done = H5Tinsert(row, column[i].name, column[i].offset, member);
        H5Tclose(member);
        if (done < 0) {
            H5Tclose(row);
            row = H5I_INVALID_HID;
        }
    }
    return row;
}

int ba_trace_column_of(hid_t member, ba_column *c) {
    size_t size = H5Tget_size(member);
    switch (H5Tget_class(member)) {
    case H5T_INTEGER:
        c->type = H5Tget_sign(member) == H5T_SGN_NONE ? BA_COLUMN_U64 : BA_COLUMN_I64;
        c->size = 8;
        return size <= 8 ? 0 : -1;
    case H5T_FLOAT:
        c->type = BA_COLUMN_F64;
        c->size = 8;
        return size <= 8 ? 0 : -1;
    case H5T_STRING:
        if (H5Tis_variable_str(member) > 0) {
            c->type = BA_COLUMN_STRING;
            c->size = sizeof(char *);
            return 0;
        }
        c->type = BA_COLUMN_TEXT;
        c->size = size;
        return size <= BA_TRACE_MAX_TEXT && H5Tget_strpad(member) == H5T_STR_NULLTERM ? 0 : -1;
    default:
        return -1;
    }
}
