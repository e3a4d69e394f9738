#include "paper_row.h"

#include <stdio.h>

static const ba_paper_row table[] = {
    {50, 26, 26, "7.5e11", "7.5e11", "-"},           {512, 50, 26, "7.6e12", "7.5e11", "90.1%"},
    {1024, 87, 26, "1.5e13", "7.5e11", "95.0%"},     {2048, 167, 26, "3.0e13", "7.5e11", "97.5%"},
    {4096, 330, 27, "6.1e13", "7.5e11", "98.7%"},    {8192, 691, 29, "1.2e14", "7.5e11", "99.3%"},
    {16384, 1515, 34, "2.45e14", "7.5e11", "99.6%"}, {32768, 3638, 45, "4.9e14", "7.5e11", "99.8%"},
};

const ba_paper_row *ba_paper_row_at(size_t length) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].length == length) {
            return &table[i];
        }
    }
    return NULL;
}

ba_cut ba_cut_off(uint64_t x, int digits) {
    ba_cut c = {x, 0, digits};
    uint64_t limit = 1;
    for (int i = 0; i < digits; i++) {
        limit *= 10;
    }
    for (; c.lead >= limit; c.exponent++) {
        c.lead /= 10;
    }
    for (; c.lead && c.lead < limit / 10; c.exponent--) {
        c.lead *= 10;
    }
    return c;
}

void ba_cut_print(ba_cut c, char *out, size_t size) {
    uint64_t unit = 1;
    for (int i = 1; i < c.digits; i++) {
        unit *= 10;
    }
    if (c.lead == 0) {
        snprintf(out, size, "0");
    } else if (c.digits == 1) {
        snprintf(out, size, "%llue%d", (unsigned long long)c.lead, c.exponent);
    } else {
        snprintf(out, size, "%llu.%0*llue%d", (unsigned long long)(c.lead / unit), c.digits - 1,
                 (unsigned long long)(c.lead % unit), c.exponent + c.digits - 1);
    }
}

int ba_digits_of(const char *figure) {
    int digits = 0;
    for (; *figure && *figure != 'e'; figure++) {
        digits += *figure >= '0' && *figure <= '9';
    }
    return digits;
}

unsigned ba_cut_reduction(ba_cut whole, ba_cut part) {
    /* Computed in whole numbers of the smaller unit; a part below one unit is 0. */
    int apart = whole.exponent - part.exponent;
    uint64_t w = whole.lead, p = part.lead;
    if (apart > 12) {
        return p ? 999 : 1000;
    }
    for (; apart > 0; apart--) {
        w *= 10;
    }
    for (; apart < 0; apart++) {
        p *= 10;
    }
    return w > p ? (unsigned)((w - p) * 1000 / w) : 0;
}
