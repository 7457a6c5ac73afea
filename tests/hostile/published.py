"""A few rows of every published table of stability that can be imported, in the form it is distributed in."""

from __future__ import annotations

import json

_PROTEIN = "AVLKDEGTSWAYQ"
_THERMOMUTDB = [
    {"PDB_wild": "1ABC", "mutated_chain": "A", "mutation_code": "V2A", "ddg": -1.7, "ph": 7.0, "temperature": 298.15,
     "effect": "destabilizing"},
    {"PDB_wild": "1ABC", "mutated_chain": "unsigned", "mutation_code": "L3P", "ddg": -3, "effect": "destabilizing"},
    {"PDB_wild": "1ABC", "mutated_chain": "A", "mutation_code": "V2A, L3P", "ddg": None, "effect": None},
]  # fmt: skip
PUBLISHED = {
    "s2648.tsv": (
        "PDB Id\tMutated Chain\tMutation_PDB\tUniProt\tMutation_UNP\tDDGexp\tLocation\n"
        "1AAA\tA\tV2A\tP00282\tV2A\t3.11\tCOR\n1AAA\tA\tL3A\tP00282\tL3A\t0.5\tCOR\n"
    ),
    "ssym.tsv": (
        "pdb\tchain\tmutation\tmutation_pdb\tpdb_mutant\tchain_mutant\tpH\tT\tddG\treference\twt_sequence\t"
        f"mutant_sequence\n1AAA\tA\tV2A\tV2A\t1BBB\tB\t7.5\t25\t2.3\tr\t{_PROTEIN}\tAALKDEGTSWAYQ\n"
    ),
    "prothermdb.tsv": (
        "NO\tPROTEIN\tUniProt_ID\tMUTATION\tSOURCE\tPDB_wild\tPDB_Chain_Mutation\tpH\tT_(C)\t∆G_(kcal/mol)\t"
        "∆∆G_(kcal/mol)\t∆∆G_H2O_(kcal/mol)\n"
        "1\tLysozyme\tP00720\tV2A\th\t1AAA\t1aaa_A:V2A\t7.0\t25.0\t-\t-1.44 (0.2)\t-\n"
        "2\tLysozyme\tP00720\tM101A D20N\th\t1AAA\t1aaa_A:L3A 1aaa_A:K4N\t7.0\t25.0\t-\t-3\t-\n"
        "3\tLysozyme\tP00720\tL3A\th\t1AAA\t1aaa_A:L3A\t7.0\t20.0\t-\t-\t-2.5\n"
    ),
    "fireprotdb.csv": (
        "experiment_id,protein_name,uniprot_id,pdb_id,chain,position,wild_type,mutation,ddG,dTm,is_curated,pH,tm,"
        f"sequence\n1,P,P00001,2RN2|1G9V,A,2,V,A,1.9,,true,7.0,50,{_PROTEIN}\n2,P,P00001,,,3,L,R,2.5,,,,,{_PROTEIN}\n"
    ),
    "thermomutdb.json": json.dumps(_THERMOMUTDB),
    "megascale.csv": (
        "name,dna_seq,deltaG,aa_seq_full,aa_seq,mut_type,WT_name,WT_cluster,dG_ML,ddG_ML,Stabilizing_mut\n"
        f"a,ACG,3,,{_PROTEIN},wt,1ABC.pdb,1,3,-,-\na,ACG,1,,AALKDEGTSWAYQ,V2A,1ABC.pdb,1,1,-2.0,False\n"
    ),
}
"""By file name; a source's name without its ending. They count in sequences that only some of them hold."""
SCREENS = {
    "proteingym.csv": f"DMS_id,DMS_filename,target_seq\nA_1,A.csv,{_PROTEIN}\nB_1,B.csv,{_PROTEIN}\n",
    "dms/A.csv": "mutant,mutated_sequence,DMS_score\nV2A,AALKDEGTSWAYQ,-1.5\nL3P,AVPKDEGTSWAYQ,-3\n",
    "dms/B.csv": "mutant,mutated_sequence,DMS_score\nK4A,x,0.5\n",
    "mavedb.csv": (
        "accession,hgvs_nt,hgvs_splice,hgvs_pro,score\nurn#1,NA,NA,p.Val2Ala,-0.5\nurn#1,NA,NA,p.Leu3=,0\n"
        "urn#1,NA,NA,p.[Val2Ala;Leu3Pro],-4\nurn#1,NA,NA,_wt,0\n"
    ),
}
"""Screens of fitness, by path."""
