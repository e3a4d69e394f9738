/* The program that `make bench` and `make bench-compare` run. */
#ifndef BA_VERSUS_PROGRAMS_H
#define BA_VERSUS_PROGRAMS_H

/* Sub-commands; argv[0] is their name. Return an exit status. */
int ba_versus_versus(int argc, char **argv);
int ba_versus_compare(int argc, char **argv);

#endif
